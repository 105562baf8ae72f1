# gepa: LLM judges tuned with GEPA, inside PostgreSQL.  PGXS; see README.md.
#
#   make && make install              build and install (any PostgreSQL 15-18)
#   make installcheck                 pg_regress on a running server; needs
#                                     neither preload nor a network
#   make prove_installcheck           TAP: starts servers of its own
#   make unitcheck                    engine and parsers under ASan and UBSan
#   make dist                         the PGXN archive
#
# with_llvm=no leaves the bitcode out.  Building elsewhere than in the tree:
# make -f /path/to/gepa/Makefile, in an empty folder.

EXTENSION  = gepa
MODULE_big = gepa
EXTVERSION = $(shell sed -n "s/^default_version *= *'\([^']*\)'/\1/p" $(srcdir)/gepa.control)
PGFILEDESC = "gepa - tune LLM judges and filter documents with them"

# One line per folder, in the order of the layers; every object by name.
OBJS_BASE   = src/base/attempt.o src/base/clock.o src/base/diff.o src/base/draw.o \
	src/base/encoding.o src/base/json.o src/base/settings.o src/base/shmem.o \
	src/base/status.o src/base/text.o src/base/wait.o
OBJS_ENGINE = src/engine/axes.o src/engine/children.o src/engine/cholesky.o \
	src/engine/config.o src/engine/decide.o src/engine/dispersion.o src/engine/edit.o \
	src/engine/edit_list.o src/engine/engine.o src/engine/example_list.o \
	src/engine/examples.o src/engine/fit.o src/engine/fronts.o src/engine/generation.o \
	src/engine/heldout.o src/engine/identity.o src/engine/items.o src/engine/iterate.o \
	src/engine/lineage.o src/engine/lines.o src/engine/memory.o src/engine/merge.o \
	src/engine/model.o src/engine/order.o src/engine/pieces.o src/engine/plan.o \
	src/engine/policy.o src/engine/pool.o src/engine/propose.o src/engine/random.o \
	src/engine/recombine.o src/engine/record.o src/engine/reduce.o src/engine/reflect.o \
	src/engine/runoff.o src/engine/sampler.o src/engine/seeds.o src/engine/select.o \
	src/engine/stop.o src/engine/window.o
OBJS_LM     = src/lm/account.o src/lm/adapt.o src/lm/address.o src/lm/anthropic.o \
	src/lm/batch.o src/lm/body.o src/lm/budget.o src/lm/canned.o src/lm/cause.o \
	src/lm/check.o src/lm/connection.o src/lm/deadline.o src/lm/doors.o src/lm/expect.o \
	src/lm/explain.o src/lm/first.o src/lm/flow.o src/lm/gate.o src/lm/gemini.o \
	src/lm/limit.o src/lm/log.o src/lm/mask.o src/lm/moved.o src/lm/openai.o \
	src/lm/options.o src/lm/outcome.o src/lm/pace.o src/lm/parts.o src/lm/provider.o src/lm/rate.o \
	src/lm/receive.o src/lm/record.o src/lm/retry.o src/lm/scoring.o src/lm/secret.o \
	src/lm/server.o src/lm/share.o src/lm/sockets.o src/lm/stats.o src/lm/tokens.o \
	src/lm/transfer.o src/lm/transport.o
OBJS_JUDGE  = src/judge/agree.o src/judge/bayes.o src/judge/confidence.o \
	src/judge/course.o src/judge/digest.o src/judge/examples.o src/judge/grade.o \
	src/judge/grader.o src/judge/grader_json.o src/judge/grader_prompt.o \
	src/judge/grader_score.o src/judge/image.o src/judge/images.o src/judge/measure.o src/judge/parse.o src/judge/recipe.o \
	src/judge/render.o src/judge/run.o src/judge/sampling.o src/judge/schema.o \
	src/judge/score.o src/judge/servers.o src/judge/spec.o src/judge/step_answer.o \
	src/judge/step_record.o src/judge/steps.o src/judge/totals.o src/judge/tradeoff.o \
	src/judge/vote.o src/judge/window.o
OBJS_STORE  = src/store/budgets.o src/store/catalog.o src/store/classifiers.o \
	src/store/datasets.o src/store/decisions.o src/store/diff.o src/store/evaluators.o \
	src/store/exchange.o src/store/exchange_lines.o src/store/exchange_program.o \
	src/store/expression.o src/store/figures.o src/store/functions.o src/store/graders.o \
	src/store/handover.o src/store/job_claims.o src/store/job_rows.o src/store/job_source.o \
	src/store/job_target.o src/store/job_verify.o src/store/job_write.o src/store/jobs.o \
	src/store/journal.o src/store/judges.o src/store/lease.o src/store/lookup.o \
	src/store/memory.o src/store/nearby.o src/store/pack.o src/store/partitions.o \
	src/store/pending.o src/store/probe.o src/store/prune.o src/store/rates.o \
	src/store/recipes.o src/store/reflections.o src/store/relation.o src/store/ring.o \
	src/store/ring_writer.o src/store/router_rules.o src/store/routers.o src/store/rows.o \
	src/store/runs.o src/store/scan.o src/store/scan_sample.o src/store/schedules.o \
	src/store/spend.o src/store/spool.o src/store/spool_read.o src/store/sweeps.o \
	src/store/texts.o src/store/verdicts.o src/store/watch.o src/store/watch_rows.o
OBJS_APPLY  = src/apply/answers.o src/apply/apply.o src/apply/call.o \
	src/apply/candidate.o src/apply/classify.o src/apply/contents.o src/apply/desk.o \
	src/apply/document.o src/apply/grader.o src/apply/grading.o src/apply/named.o \
	src/apply/route_check.o src/apply/route_columns.o src/apply/route_rule.o \
	src/apply/samples.o src/apply/stream.o src/apply/take.o
OBJS_NODE   = src/node/ahead.o src/node/answer.o src/node/attempt.o src/node/calls.o \
	src/node/chain.o src/node/distinct.o src/node/early.o src/node/estimate.o \
	src/node/exec.o src/node/execution.o src/node/explain.o src/node/expressions.o \
	src/node/figures.o src/node/hook.o src/node/lift.o src/node/lift_append.o \
	src/node/lift_conditions.o src/node/lift_join.o src/node/place.o \
	src/node/place_cursor.o src/node/place_scan.o src/node/place_split.o \
	src/node/place_under.o src/node/private.o src/node/progress.o src/node/rows.o \
	src/node/safe.o src/node/safe_plan.o src/node/scroll.o src/node/support.o \
	src/node/walk.o src/node/window.o
OBJS_WORKER = src/worker/ask.o src/worker/calendar.o src/worker/combee.o \
	src/worker/contest.o src/worker/due.o src/worker/evaluate.o src/worker/evaluator.o \
	src/worker/examples.o src/worker/grading.o src/worker/guard.o src/worker/heldout.o \
	src/worker/job.o src/worker/job_create.o src/worker/job_judge.o \
	src/worker/job_options.o src/worker/job_pieces.o src/worker/launcher.o \
	src/worker/new_text.o src/worker/objectives.o src/worker/option_table.o \
	src/worker/options.o src/worker/outputs.o src/worker/process.o src/worker/prompt.o \
	src/worker/proposer.o src/worker/record.o src/worker/records.o src/worker/reflect.o \
	src/worker/replay.o src/worker/requests.o src/worker/run.o src/worker/runstate.o \
	src/worker/schedule.o src/worker/scheduler.o src/worker/scout.o src/worker/seeds.o \
	src/worker/slots.o src/worker/spend.o src/worker/split.o src/worker/start.o \
	src/worker/starter.o src/worker/stop.o src/worker/sweep.o src/worker/sweep_options.o \
	src/worker/sweeper.o src/worker/tend.o src/worker/text_prompt.o src/worker/text_run.o \
	src/worker/text_start.o src/worker/timetable.o src/worker/watch.o src/worker/works.o \
	src/worker/writer.o
OBJS_API    = src/api/agreement.o src/api/args.o src/api/branches.o src/api/budget.o \
	src/api/candidates.o src/api/classifier.o src/api/dataset.o src/api/diff.o \
	src/api/estimate.o src/api/exchange.o src/api/exchange_demos.o \
	src/api/exchange_fields.o src/api/exchange_import.o src/api/exchange_lines.o \
	src/api/exchange_program.o src/api/exchange_result.o src/api/exchange_state.o \
	src/api/grader.o src/api/image.o src/api/job.o src/api/judge.o src/api/known.o src/api/lm.o \
	src/api/lm_stats.o src/api/predicate.o src/api/predicate_array.o src/api/progress.o \
	src/api/recipe.o src/api/report.o src/api/report_search.o src/api/router.o \
	src/api/run.o src/api/schedule.o src/api/shown.o src/api/sweep.o src/api/text.o \
	src/api/verdicts.o src/api/watch.o
OBJS = src/gepa.o $(OBJS_BASE) $(OBJS_ENGINE) $(OBJS_LM) $(OBJS_JUDGE) \
	$(OBJS_STORE) $(OBJS_APPLY) $(OBJS_NODE) $(OBJS_WORKER) $(OBJS_API)

# The install script is these pieces in this order.
SQL_PARTS = $(addprefix $(srcdir)/src/sql/, 00_guard.sql 10_tables.sql \
	20_lm.sql 25_limits.sql 30_judge.sql 34_classifier.sql 35_router.sql \
	40_dataset.sql 42_grader.sql 50_run.sql 52_text.sql 54_exchange.sql \
	55_schedule.sql 57_budget.sql 58_job.sql 59_estimate.sql 59_watch.sql \
	60_views.sql 61_classifier.sql 61_grader.sql 61_job_views.sql 61_router.sql \
	62_sweep.sql 65_recipes.sql 70_watch.sql 71_budget_views.sql 72_diff.sql \
	80_privileges.sql 90_dump.sql)

DATA_built = gepa--$(EXTVERSION).sql
DOCS       = README.md

CURL_CFLAGS ?= $(shell pkg-config --cflags libcurl 2>/dev/null || curl-config --cflags)
CURL_LIBS   ?= $(shell pkg-config --libs libcurl 2>/dev/null || curl-config --libs)
PG_CPPFLAGS = -I$(srcdir)/src -DGEPA_VERSION='"$(EXTVERSION)"' $(CURL_CFLAGS)
SHLIB_LINK  = $(CURL_LIBS)

# Headers are tracked by the compiler: FILE.o leaves FILE.d.
PG_CFLAGS   = -MMD -MP

REGRESS        = setup lm judge predicate dataset explain node node_explain node_lift privileges \
	schedule nopreload
REGRESS_OPTS   = --inputdir=$(srcdir) --load-extension=gepa
ISOLATION      = alter_alter alter_other create_create drop_use
ISOLATION_OPTS = --inputdir=$(srcdir)/test --load-extension=gepa
PROVE_TESTS    = test/t/*.pl
EXTRA_CLEAN    = $(OBJS:.o=.d) test/fuzz/build test/unit/build

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

-include $(OBJS:.o=.d)

# Out of the tree the folders of the objects do not exist yet.  Absolute
# names: make would find relative ones in the source tree.
OBJ_DIRS = $(addprefix $(CURDIR)/,$(patsubst %/,%,$(sort $(dir $(OBJS)))))
$(OBJS) $(OBJS:.o=.bc): | $(OBJ_DIRS)
$(OBJ_DIRS):
	mkdir -p $@

# The bitcode has no .d of its own; a changed header changes the object.
$(OBJS:.o=.bc): %.bc: %.o

# GEPA_VERSION
$(OBJS): $(srcdir)/gepa.control

gepa--$(EXTVERSION).sql: $(SQL_PARTS)
	cat $^ >$@

prove_installcheck:
	$(prove_installcheck)

unitcheck:
	$(MAKE) -C $(srcdir)/test/unit check PG_CONFIG='$(PG_CONFIG)' BUILD='$(CURDIR)/test/unit/build'

# From a clone what is committed, as PGXN wants it; without git what is here.
DISTNAME = gepa-$(EXTVERSION)
dist:
	if git -C $(srcdir) rev-parse HEAD >/dev/null 2>&1; then \
		git -C $(srcdir) archive --format=zip --prefix=$(DISTNAME)/ HEAD >$(DISTNAME).zip; \
	else \
		tar -C $(srcdir) --exclude='*.[oda]' --exclude='*.bc' --exclude='*.so' \
			--exclude=build --transform='s,^,$(DISTNAME)/,' -czf $(DISTNAME).tar.gz \
			$(filter-out gepa-%,$(notdir $(wildcard $(srcdir)/*))); \
	fi

.PHONY: prove_installcheck unitcheck dist
