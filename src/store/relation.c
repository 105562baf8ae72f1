/*-------------------------------------------------------------------------
 *
 * relation.c
 *	  Relations that a role names.
 *
 * A name is looked up once, as the role and under its search_path; from then on it is
 * kept, and put into statements, quoted and with its schema, so that it means the
 * same under any other.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/varlena.h"

#include "store/store_internal.h"

Oid
gepa_store_find_relation(const char *name, LOCKMODE lockmode)
{
	List	   *names = textToQualifiedNameList(cstring_to_text(name));

	return RangeVarGetRelid(makeRangeVarFromNameList(names), lockmode, true);
}

char *
gepa_store_relation_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}
