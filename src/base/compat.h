/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Differences between PostgreSQL 15 and 18, and nowhere else.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_BASE_COMPAT_H
#define GEPA_BASE_COMPAT_H

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 190000
#error "gepa supports PostgreSQL 15 to 18"
#endif

/* 18: the magic block carries name and version. */
#if PG_VERSION_NUM >= 180000
#define GEPA_MODULE_MAGIC \
	PG_MODULE_MAGIC_EXT(.name = "gepa", .version = GEPA_VERSION)
#else
#define GEPA_MODULE_MAGIC PG_MODULE_MAGIC
#endif

#ifndef FRONTEND

#include "catalog/objectaddress.h"
#include "catalog/pg_foreign_server.h"
#include "nodes/parsenodes.h"
#include "utils/acl.h"
#include "utils/regproc.h"

/* 16: one function for all kinds of objects. */
static inline bool
gepa_has_server_usage(Oid serverid, Oid userid)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(ForeignServerRelationId, serverid, userid,
						   ACL_USAGE) == ACLCHECK_OK;
#else
	return pg_foreign_server_aclcheck(serverid, userid, ACL_USAGE) == ACLCHECK_OK;
#endif
}

/* 16: soft errors need a place; NULL asks for hard ones. */
static inline List *
gepa_parse_qualified_name(const char *name)
{
#if PG_VERSION_NUM >= 160000
	return stringToQualifiedNameList(name, NULL);
#else
	return stringToQualifiedNameList(name);
#endif
}

#endif							/* FRONTEND */

#endif							/* GEPA_BASE_COMPAT_H */
