# gepa: LLM judges tuned with GEPA, inside PostgreSQL.  PGXS; see README.md.

EXTENSION  = gepa
MODULE_big = gepa
EXTVERSION = $(shell sed -n "s/^default_version *= *'\([^']*\)'/\1/p" $(srcdir)/gepa.control)
PGFILEDESC = "gepa - tune LLM judges and filter documents with them"

# One line per folder, in the order of the layers; every object by name.
OBJS_BASE   = src/base/json.o src/base/settings.o src/base/status.o
OBJS_ENGINE = src/engine/engine.o
OBJS_LM     = src/lm/batch.o
OBJS_JUDGE  = src/judge/run.o
OBJS_STORE  = src/store/catalog.o
OBJS_WORKER = src/worker/launcher.o
OBJS_API    = src/api/predicate.o
OBJS = src/gepa.o $(OBJS_BASE) $(OBJS_ENGINE) $(OBJS_LM) $(OBJS_JUDGE) \
	$(OBJS_STORE) $(OBJS_WORKER) $(OBJS_API)

# The install script is these pieces in this order.
SQL_PARTS = $(addprefix $(srcdir)/src/sql/, 00_guard.sql 10_tables.sql \
	20_lm.sql 30_judge.sql 40_dataset.sql 50_run.sql 60_views.sql \
	80_privileges.sql 90_dump.sql)

DATA_built = gepa--$(EXTVERSION).sql
PG_CPPFLAGS = -I$(srcdir)/src -DGEPA_VERSION='"$(EXTVERSION)"' $(shell pkg-config --cflags libcurl)
SHLIB_LINK  = $(shell pkg-config --libs libcurl)

REGRESS      = lm
REGRESS_OPTS = --inputdir=$(srcdir) --load-extension=gepa
PROVE_TESTS  = test/t/*.pl
EXTRA_CLEAN  = test/unit/build

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)
