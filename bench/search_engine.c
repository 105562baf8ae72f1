/*-------------------------------------------------------------------------
 *
 * search_engine.c
 *	  The engine behind lines of text, so that bench/search can drive it.
 *
 * One process is one run.  Input:
 *
 *		set NAME VALUE				an option of EngineConfig or EnginePolicy
 *		labels train|val N ...		expected label of each sample
 *		component TEXT				seed text
 *		start
 *		scores STEP S ...			of an EVALUATE step; nan = no answer
 *		answer STEP [TEXT]			of a REFLECT step; without text it failed
 *
 * After start and after each answer come the steps that it led to and the state,
 * up to a line with a dot:
 *
 *		candidate N TEXT ...		a text of the pool, on its first use in a step
 *		proposal N TEXT				a text that is evaluated
 *		evaluate STEP ITERATION PROPOSAL SPLIT SAMPLE ...
 *		reflect STEP ITERATION CANDIDATE COMPONENT STEP:SLOT ...
 *		decision KIND LED LEADS NCOMPARED NSAMPLES
 *		state BEST ROLLOUTS ROUNDS SCORE SEED-SCORE
 *		finished REASON, held_out ..., and the state
 *
 * In texts a line feed is \n and a backslash \\; one component is enough here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <math.h>
#include <stddef.h>

#include "engine/engine.h"

#define MAX_LINE (4 * 1024 * 1024)
#define MAX_PROPOSALS 65536

typedef enum FieldType
{
	FIELD_INT,
	FIELD_INT64,
	FIELD_DOUBLE,
	FIELD_BOOL
} FieldType;

typedef struct Field
{
	const char *name;
	FieldType	type;
	size_t		offset;			/* in EngineConfig */
} Field;

#define CONFIG(name, type) {#name, type, offsetof(EngineConfig, name)}
#define POLICY(name, type) {#name, type, offsetof(EngineConfig, policy) + offsetof(EnginePolicy, name)}

static const Field fields[] = {
	CONFIG(mode, FIELD_INT),
	CONFIG(seed, FIELD_INT64),
	CONFIG(budget, FIELD_INT64),
	CONFIG(ntrain, FIELD_INT),
	CONFIG(nval, FIELD_INT),
	CONFIG(ntest, FIELD_INT),
	CONFIG(nlabels, FIELD_INT),
	CONFIG(minibatch_size, FIELD_INT),
	CONFIG(selection, FIELD_INT),
	CONFIG(mutations, FIELD_INT),
	CONFIG(hard_budget, FIELD_BOOL),
	CONFIG(skip_known_texts, FIELD_BOOL),
	CONFIG(ascending_order, FIELD_BOOL),
	POLICY(seed_window, FIELD_INT),
	POLICY(window, FIELD_INT),
	POLICY(min_rollouts, FIELD_INT),
	POLICY(reserve, FIELD_DOUBLE),
	POLICY(finalists, FIELD_INT),
	POLICY(leader_rollouts, FIELD_INT),
	POLICY(max_reflections, FIELD_INT),
	POLICY(reflections_per_round, FIELD_INT),
	POLICY(whole_rounds, FIELD_BOOL),
	POLICY(reflection_pace, FIELD_DOUBLE),
	POLICY(recombinations, FIELD_INT),
	POLICY(recombine_after, FIELD_DOUBLE),
	POLICY(held_out, FIELD_INT),
	POLICY(pipelined, FIELD_BOOL),
	POLICY(intercept_mean, FIELD_DOUBLE),
	POLICY(intercept_sd, FIELD_DOUBLE),
	POLICY(line_mean, FIELD_DOUBLE),
	POLICY(line_sd, FIELD_DOUBLE),
	POLICY(candidate_sd, FIELD_DOUBLE),
	POLICY(length_mean, FIELD_DOUBLE),
	POLICY(length_sd, FIELD_DOUBLE),
	POLICY(sample_sd, FIELD_DOUBLE),
	POLICY(dispersion_prior, FIELD_DOUBLE),
	POLICY(least_dispersion, FIELD_DOUBLE),
	POLICY(lineage, FIELD_BOOL),
	POLICY(thompson, FIELD_DOUBLE),
	POLICY(max_changes, FIELD_INT),
	POLICY(max_additions, FIELD_INT),
	POLICY(window_floor, FIELD_DOUBLE),
	POLICY(window_gain, FIELD_DOUBLE),
	POLICY(window_known, FIELD_DOUBLE),
	POLICY(window_known_after, FIELD_INT),
	POLICY(window_decay, FIELD_DOUBLE),
	POLICY(records, FIELD_INT),
	POLICY(record_failures, FIELD_INT),
	POLICY(balance_labels, FIELD_BOOL)
};

static int	nshown_candidates = 0;
static bool shown_proposals[MAX_PROPOSALS];

static void
fail(const char *what, const char *which)
{
	fprintf(stderr, "search_engine: %s: %s\n", what, which);
	exit(1);
}

static void
set_field(EngineConfig *config, const char *name, const char *value)
{
	for (int i = 0; i < lengthof(fields); i++)
	{
		char	   *place = (char *) config + fields[i].offset;

		if (strcmp(fields[i].name, name) != 0)
			continue;
		if (fields[i].type == FIELD_INT)
			*(int *) place = atoi(value);
		else if (fields[i].type == FIELD_INT64)
			*(int64 *) place = strtoll(value, NULL, 10);
		else if (fields[i].type == FIELD_DOUBLE)
			*(double *) place = strtod(value, NULL);
		else
			*(bool *) place = atoi(value) != 0;
		return;
	}
	fail("no such option", name);
}

/* In place: \n and \\ become what they stand for. */
static char *
unescape(char *text)
{
	char	   *to = text;

	for (char *from = text; *from != '\0'; from++)
	{
		if (*from == '\\' && from[1] != '\0')
			*to++ = *++from == 'n' ? '\n' : *from;
		else
			*to++ = *from;
	}
	*to = '\0';
	return text;
}

static void
print_escaped(const char *text)
{
	for (; *text != '\0'; text++)
	{
		if (*text == '\n')
			fputs("\\n", stdout);
		else if (*text == '\\')
			fputs("\\\\", stdout);
		else
			putchar(*text);
	}
	putchar('\n');
}

/* Numbers of a line, at most n; returns how many. */
static int
read_numbers(char *line, double *numbers, int n)
{
	int			found = 0;

	for (char *word = strtok(line, " "); word != NULL && found < n; word = strtok(NULL, " "))
		numbers[found++] = strtod(word, NULL);
	return found;
}

static void
set_labels(EngineConfig *config, char *line)
{
	bool		train = strncmp(line, "train ", 6) == 0;
	int			n = train ? config->ntrain : config->nval;
	double	   *numbers = palloc((n + 1) * sizeof(double));
	int		   *labels = palloc((n + 1) * sizeof(int));

	if (read_numbers(strchr(line, ' ') + 1, numbers, n) != n)
		fail("labels do not fit", line);
	for (int i = 0; i < n; i++)
		labels[i] = (int) numbers[i];
	if (train)
		config->train_label = labels;
	else
		config->val_label = labels;
	pfree(numbers);
}

static void
print_evaluate(const EngineStep *step)
{
	if (step->proposal >= MAX_PROPOSALS)
		fail("too many", "proposals");
	if (!shown_proposals[step->proposal])
	{
		printf("proposal %d ", step->proposal);
		print_escaped(step->texts[0]);
		shown_proposals[step->proposal] = true;
	}
	printf("evaluate %d %d %d %d", step->step, step->iteration, step->proposal, step->split);
	for (int i = 0; i < step->nsamples; i++)
		printf(" %d", step->samples[i]);
	putchar('\n');
}

static void
print_reflect(const EngineStep *step)
{
	printf("reflect %d %d %d %d", step->step, step->iteration, step->candidate, step->component);
	for (int i = 0; i < step->nrecords; i++)
		printf(" %d:%d", step->records[i].step, step->records[i].slot);
	putchar('\n');
}

static void
print_events(Engine *engine)
{
	EngineEvent event;

	while (gepa_engine_next_event(engine, &event))
		if (event.kind == ENGINE_EVENT_DECISION)
			printf("decision %d %d %d %d %d\n", event.decision->kind, event.decision->led,
				   event.decision->leads, event.decision->ncompared, event.decision->nsamples);
}

static void
print_state(Engine *engine)
{
	int			best = gepa_engine_best(engine);

	for (; nshown_candidates < gepa_engine_ncandidates(engine); nshown_candidates++)
	{
		printf("candidate %d ", nshown_candidates);
		print_escaped(gepa_engine_candidate_texts(engine, nshown_candidates)[0]);
	}
	printf("state %d " INT64_FORMAT " %d %.17g %.17g\n", best, gepa_engine_rollouts(engine),
		   gepa_engine_rounds(engine),
		   best < 0 ? NAN : gepa_engine_candidate_score(engine, best),
		   best < 0 ? NAN : gepa_engine_candidate_score(engine, 0));
}

static void
print_finished(Engine *engine)
{
	EngineHeldOut held_out;

	printf("finished %s\n", gepa_engine_stop_reason(engine));
	if (gepa_engine_held_out(engine, &held_out))
		printf("held_out %d %d %.17g %.17g %.17g %.17g %.17g %.17g\n", held_out.candidate,
			   held_out.n, held_out.seed_score, held_out.score, held_out.gain, held_out.low,
			   held_out.high, held_out.search_score);
}

/* What there is to do now. */
static void
print_turn(Engine *engine)
{
	EngineStep	step;

	for (step = gepa_engine_next(engine);
		 step.kind == ENGINE_STEP_EVALUATE || step.kind == ENGINE_STEP_REFLECT;
		 step = gepa_engine_next(engine))
	{
		if (step.kind == ENGINE_STEP_EVALUATE)
			print_evaluate(&step);
		else
			print_reflect(&step);
	}
	print_events(engine);
	if (step.kind == ENGINE_STEP_FINISHED)
		print_finished(engine);
	print_state(engine);
	puts(".");
	fflush(stdout);
}

static void
tell(Engine *engine, char *line)
{
	bool		is_scores = strncmp(line, "scores ", 7) == 0;
	char	   *rest = strchr(line, ' ');
	int			step = (int) strtol(rest, &rest, 10);
	bool		taken;

	rest += *rest == ' ';
	if (is_scores)
	{
		double	   *scores = palloc((strlen(rest) + 1) * sizeof(double));
		int			n = read_numbers(rest, scores, (int) strlen(rest));

		taken = gepa_engine_observe_scores(engine, step, n, scores, 0, NULL, NULL);
		pfree(scores);
	}
	else
		taken = gepa_engine_observe_text(engine, step, *rest == '\0' ? NULL : unescape(rest));
	if (!taken)
		fail("not taken", line);
	print_turn(engine);
}

int
main(void)
{
	EngineConfig config;
	EngineComponent component = {"instruction", ENGINE_COMPONENT_TEXT, NULL};
	Engine	   *engine = NULL;
	char	   *line = malloc(MAX_LINE);
	const char *error = NULL;

	gepa_engine_config_init(&config);
	config.ncomponents = 1;
	config.components = &component;
	while (fgets(line, MAX_LINE, stdin) != NULL)
	{
		char	   *value;

		line[strcspn(line, "\n")] = '\0';
		if (engine != NULL)
			tell(engine, line);
		else if (strncmp(line, "set ", 4) == 0 && (value = strchr(line + 4, ' ')) != NULL)
		{
			*value = '\0';
			set_field(&config, line + 4, value + 1);
		}
		else if (strncmp(line, "labels ", 7) == 0)
			set_labels(&config, line + 7);
		else if (strncmp(line, "component ", 10) == 0)
			component.seed_text = unescape(pstrdup(line + 10));
		else if (strcmp(line, "start") == 0)
		{
			engine = gepa_engine_create(&config, &error);
			if (engine == NULL)
				fail("engine", error);
			print_turn(engine);
		}
		else
			fail("not understood", line);
	}
	return 0;
}
