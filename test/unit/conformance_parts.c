/*-------------------------------------------------------------------------
 *
 * conformance_parts.c
 *	  Replay of single decisions: draws, minibatches, texts, stops.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <math.h>

#include "conformance.h"

/* --- random draws --- */

typedef struct DrawSpec
{
	int			a;				/* numbers in the name of the draws */
	int			b;
	int			times;
	int			nweights;
	double		weights[16];
} DrawSpec;

typedef enum DrawKind
{
	DRAW_UNKNOWN,
	DRAW_UNIFORM,
	DRAW_WORD,
	DRAW_SHUFFLE,
	DRAW_SAMPLE,
	DRAW_BOUNDED,
	DRAW_WEIGHTED
} DrawKind;

/* "choices_weights_1_2_3_x10" */
static bool
read_weights(const char *name, DrawSpec *spec)
{
	static const char prefix[] = "choices_weights_";
	char	   *end;

	if (strncmp(name, prefix, strlen(prefix)) != 0)
		return false;
	name += strlen(prefix);
	while (*name != 'x' && spec->nweights < lengthof(spec->weights))
	{
		spec->weights[spec->nweights++] = strtod(name, &end);
		if (*end != '_')
			return false;
		name = end + 1;
	}
	return sscanf(name, "x%d", &spec->times) == 1;
}

/* The names in the file say what is drawn: "sample_2_of_0_to_4_x5". */
static DrawKind
read_draw_name(const char *name, DrawSpec *spec)
{
	memset(spec, 0, sizeof(DrawSpec));
	if (sscanf(name, "random_x%d", &spec->times) == 1)
		return DRAW_UNIFORM;
	if (sscanf(name, "getrandbits32_x%d", &spec->times) == 1)
		return DRAW_WORD;
	if (sscanf(name, "shuffle_0_to_%d", &spec->a) == 1)
		return DRAW_SHUFFLE;
	if (sscanf(name, "sample_%d_of_0_to_%d_x%d", &spec->b, &spec->a, &spec->times) == 3)
		return DRAW_SAMPLE;
	if (sscanf(name, "choice_index_of_%d_x%d", &spec->a, &spec->times) == 2)
		return DRAW_BOUNDED;
	if (sscanf(name, "randint_0_to_%d_x%d", &spec->a, &spec->times) == 2)
	{
		spec->a++;
		return DRAW_BOUNDED;
	}
	return read_weights(name, spec) ? DRAW_WEIGHTED : DRAW_UNKNOWN;
}

static bool
put_draws(StringInfo got, const char *name, int64 seed)
{
	DrawSpec	spec;
	DrawKind	kind = read_draw_name(name, &spec);
	EngineRandom random;
	int		   *items = palloc0((spec.a + 1) * sizeof(int));
	int		   *drawn = palloc0((spec.b + 1) * sizeof(int));
	int			i;

	gepa_engine_random_seed(&random, seed);
	for (i = 0; i <= spec.a; i++)
		items[i] = i;
	if (kind == DRAW_SHUFFLE)
	{
		gepa_engine_random_shuffle(&random, items, spec.a + 1);
		json_put_ints(got, name, items, spec.a + 1);
		return true;
	}
	json_open(got, name, '[');
	for (i = 0; i < spec.times; i++)
	{
		if (kind == DRAW_UNIFORM)
			json_put_double(got, NULL, gepa_engine_random_uniform(&random));
		else if (kind == DRAW_WORD)
			json_put_int(got, NULL, gepa_engine_random_word(&random));
		else if (kind == DRAW_BOUNDED)
			json_put_int(got, NULL, gepa_engine_random_bounded(&random, spec.a));
		else if (kind == DRAW_WEIGHTED)
			json_put_int(got, NULL, gepa_engine_random_weighted(&random, spec.nweights,
																spec.weights));
		else if (kind == DRAW_SAMPLE)
		{
			gepa_engine_random_sample(&random, items, spec.a + 1, spec.b, drawn);
			json_put_ints(got, NULL, drawn, spec.b);
		}
	}
	json_close(got, ']');
	return kind != DRAW_UNKNOWN;
}

bool
replay_random(const GepaJson *input, const GepaJson *expected, StringInfo got)
{
	const GepaJson *seeds = gepa_json_get(input, "seeds");
	int			i;
	int			k;

	json_open(got, NULL, '[');
	for (i = 0; i < json_count(seeds); i++)
	{
		const GepaJson *row = gepa_json_item(expected, i);
		int64		seed = strtoll(seeds->items[i]->text, NULL, 10);

		json_open(got, NULL, '{');
		for (k = 0; k < json_count(row); k++)
		{
			if (strcmp(row->keys[k], "seed") == 0)
				json_put_int(got, "seed", seed);
			else if (!put_draws(got, row->keys[k], seed))
				return false;
		}
		json_close(got, '}');
	}
	json_close(got, ']');
	return json_count(seeds) > 0;
}

/* --- minibatches --- */

/* The training set's size at an iteration: the last one told. */
static int
size_at(const GepaJson *input, int iteration)
{
	const GepaJson *sizes = gepa_json_get(input, "train_size_at");
	int			size = json_int(input, "train_size", 0);
	int			latest = -1;
	int			i;

	for (i = 0; i < json_count(sizes); i++)
	{
		int			from = atoi(sizes->keys[i]);

		if (from <= iteration && from > latest)
		{
			latest = from;
			size = (int) json_double(sizes->items[i]);
		}
	}
	return size;
}

static void
put_minibatch(StringInfo got, const GepaJson *fields, const EngineSampler *sampler, int call,
			  const int *ids)
{
	json_open(got, NULL, '{');
	json_put_int(got, "i", sampler->iteration);
	json_put_ints(got, "ids", ids, sampler->size);
	if (gepa_json_get(fields, "call") != NULL)
		json_put_int(got, "call", call);
	if (gepa_json_get(fields, "epoch") != NULL)
		json_put_int(got, "epoch", sampler->epoch);
	if (gepa_json_get(fields, "padded_len") != NULL)
		json_put_int(got, "padded_len", sampler->nshuffled);
	if (gepa_json_get(fields, "shuffled") != NULL)
		json_put_ints(got, "shuffled", sampler->shuffled, sampler->nshuffled);
	json_close(got, '}');
}

bool
replay_sampler(const GepaJson *input, const GepaJson *expected, StringInfo got)
{
	const GepaJson *iterations = gepa_json_get(input, "iterations");
	const GepaJson *fields = gepa_json_item(expected, 0);
	int			calls = json_int(input, "calls_per_iteration", 1);
	int			size = json_int(input, "minibatch_size", 0);
	int			n = iterations != NULL ? json_count(iterations) : json_count(expected) / calls;
	int		   *ids = palloc0((size + 1) * sizeof(int));
	EngineArena arena;
	EngineRandom random;
	EngineSampler sampler;
	int			i;
	int			call;

	if (size < 1 || calls < 1 || size_at(input, 0) < 1)
		return false;
	gepa_engine_arena_init(&arena);
	gepa_engine_random_seed(&random, json_int(input, "seed", 0));
	gepa_engine_sampler_init(&sampler, &arena, &random, size);

	json_open(got, NULL, '[');
	for (i = 0; i < n; i++)
	{
		int			iteration = iterations != NULL ? (int) json_double(iterations->items[i]) :
			json_int(gepa_json_item(expected, i * calls), "i", i);

		for (call = 0; call < calls; call++)
		{
			gepa_engine_sampler_next(&sampler, size_at(input, iteration), iteration, ids);
			put_minibatch(got, fields, &sampler, call, ids);
		}
	}
	json_close(got, ']');
	gepa_engine_arena_free(&arena);
	return true;
}

/* --- acceptance and selection of proposals --- */

static double
sum_of(const GepaJson *scores)
{
	return gepa_engine_sum(json_doubles(scores), json_count(scores));
}

bool
replay_acceptance(const GepaJson *input, const GepaJson *expected, StringInfo got)
{
	const GepaJson *rows = gepa_json_get(input, "rows");
	int			i;

	json_open(got, NULL, '[');
	for (i = 0; i < json_count(rows); i++)
	{
		double		before = sum_of(gepa_json_get(rows->items[i], "before"));
		double		after = sum_of(gepa_json_get(rows->items[i], "after"));

		json_open(got, NULL, '{');
		json_put_bool(got, "strict", gepa_engine_accepts(ENGINE_ACCEPT_STRICT, before, after));
		json_put_bool(got, "or_equal",
					  gepa_engine_accepts(ENGINE_ACCEPT_OR_EQUAL, before, after));
		json_close(got, '}');
	}
	json_close(got, ']');
	return json_count(rows) > 0;
}

bool
replay_keep(const GepaJson *input, const GepaJson *expected, StringInfo got)
{
	const GepaJson *proposals = gepa_json_get(input, "proposals");
	int			n = json_count(proposals);
	double	   *before = palloc0((n + 1) * sizeof(double));
	double	   *after = palloc0((n + 1) * sizeof(double));
	int		   *kept = palloc0((n + 1) * sizeof(int));
	int			i;
	int			k;

	for (i = 0; i < n; i++)
	{
		before[i] = sum_of(gepa_json_get(proposals->items[i], "before"));
		after[i] = sum_of(gepa_json_get(proposals->items[i], "after"));
	}
	json_open(got, NULL, '{');
	for (k = 0; k < json_count(expected); k++)
	{
		const char *name = expected->keys[k];
		int			top_k = 1;
		EngineKeep	keep = ENGINE_KEEP_ALL;
		int			nkept;

		if (strcmp(name, "best") == 0)
			keep = ENGINE_KEEP_BEST;
		else if (sscanf(name, "top_%d", &top_k) == 1)
			keep = ENGINE_KEEP_TOP_K;
		else if (strcmp(name, "all") != 0)
			return false;
		nkept = gepa_engine_keep(keep, top_k, ENGINE_ACCEPT_STRICT, n, before, after, kept);
		json_open(got, name, '[');
		for (i = 0; i < nkept; i++)
			json_put_string(got, NULL,
							gepa_json_get_string(proposals->items[kept[i]], "id"));
		json_close(got, ']');
	}
	json_close(got, '}');
	return n > 0;
}

/* --- texts of reflection --- */

/* A leaf as the reference prints it. */
static const char *
leaf_text(const GepaJson *leaf)
{
	double		number;

	switch (leaf->kind)
	{
		case GEPA_JSON_STRING:
			return leaf->text;
		case GEPA_JSON_BOOL:
			return leaf->boolean ? "True" : "False";
		case GEPA_JSON_NULL:
			return "None";
		default:
			break;
	}
	/* an integer as it stands; else the shortest text that reads the same */
	if (strpbrk(leaf->text, ".eE") != NULL)
	{
		int			digits;

		number = json_double(leaf);
		for (digits = 1; digits <= 17; digits++)
		{
			char	   *text = psprintf("%.*g", digits, number);

			if (strtod(text, NULL) == number)
				return strpbrk(text, ".en") == NULL ? psprintf("%s.0", text) : text;
		}
	}
	return leaf->text;
}

static EngineValue
make_value(const GepaJson *tree)
{
	EngineValue value;
	EngineValue *items;
	int			i;

	memset(&value, 0, sizeof(value));
	if (tree->kind != GEPA_JSON_OBJECT && tree->kind != GEPA_JSON_ARRAY)
	{
		value.kind = ENGINE_VALUE_TEXT;
		value.text = leaf_text(tree);
		return value;
	}
	items = palloc0((tree->nitems + 1) * sizeof(EngineValue));
	for (i = 0; i < tree->nitems; i++)
		items[i] = make_value(tree->items[i]);
	value.kind = tree->kind == GEPA_JSON_OBJECT ? ENGINE_VALUE_MAP : ENGINE_VALUE_LIST;
	value.nitems = tree->nitems;
	value.keys = (const char *const *) tree->keys;
	value.items = items;
	return value;
}

static void
put_rendered(StringInfo got, const GepaJson *input)
{
	const GepaJson *list = gepa_json_get(input, "records");
	EngineValue records;

	records = make_value(list);
	json_put_string(got, NULL,
					gepa_engine_render_reflection(gepa_json_get_string(input, "template"),
												  gepa_json_get_string(input, "current_text"),
												  records.items, records.nitems, true));
}

bool
replay_reflection(const GepaJson *input, const GepaJson *expected, StringInfo got)
{
	const GepaJson *answers = gepa_json_get(input, "lm_outputs");
	const GepaJson *templates = gepa_json_get(input, "templates");
	int			i;

	if (gepa_json_get_string(input, "template") != NULL &&
		gepa_json_get_string(input, "current_text") != NULL &&
		gepa_json_get(input, "records") != NULL)
	{
		put_rendered(got, input);
		return true;
	}
	json_open(got, NULL, '[');
	for (i = 0; i < json_count(answers); i++)
		json_put_string(got, NULL, gepa_engine_extract_text(answers->items[i]->text));
	for (i = 0; i < json_count(templates); i++)
	{
		const GepaJson *template = templates->items[i];

		/* none given: the default is used, which has both */
		const char *problem = template->kind == GEPA_JSON_NULL ? NULL :
			gepa_engine_check_template(template->text);

		json_put_string(got, NULL, problem != NULL ? problem : "ok");
	}
	json_close(got, ']');
	return json_count(answers) + json_count(templates) > 0;
}

/* --- components, identity, stops --- */

/* Add a child of the first and the last candidate: where does it start? */
static bool
child_inherits_maximum(EnginePool *pool)
{
	static const char *const no_texts[1];
	int			parents[2] = {0, pool->ncandidates - 1};
	int			child = gepa_engine_pool_add(pool, no_texts, parents, 0, NULL, NULL);

	return pool->next_component[child] == Max(pool->next_component[parents[0]],
											  pool->next_component[parents[1]]);
}

bool
replay_components(const GepaJson *input, const GepaJson *expected, StringInfo got)
{
	static const char *const no_texts[1];
	static const int no_parents[2] = {-1, -1};
	const GepaJson *components = gepa_json_get(input, "components");
	const GepaJson *calls = gepa_json_get(input, "calls_for_candidate");
	int		   *candidates = json_ints(calls);
	EngineArena arena;
	EnginePool	pool;
	int			i;

	if (json_count(components) == 0 || json_count(calls) == 0)
		return false;
	gepa_engine_arena_init(&arena);
	gepa_engine_pool_init(&pool, &arena, json_count(components), 0);
	for (i = 0; i < json_count(calls); i++)
		while (pool.ncandidates <= candidates[i])
			gepa_engine_pool_add(&pool, no_texts, no_parents, 0, NULL, NULL);

	json_open(got, NULL, '{');
	json_open(got, "calls", '[');
	for (i = 0; i < json_count(calls); i++)
	{
		int			picked = gepa_engine_pool_next_component(&pool, candidates[i], NULL);

		json_open(got, NULL, '{');
		json_put_int(got, "candidate", candidates[i]);
		json_put_string(got, "picked", components->items[picked]->text);
		json_put_ints(got, "pointers", pool.next_component, pool.ncandidates);
		json_close(got, '}');
	}
	json_close(got, ']');
	if (child_inherits_maximum(&pool))
		json_put_string(got, "child_inherits",
						"max of parents' pointers at the time it is added");
	json_close(got, '}');
	gepa_engine_arena_free(&arena);
	return true;
}

bool
replay_identity(const GepaJson *input, const GepaJson *expected, StringInfo got)
{
	const GepaJson *candidates = gepa_json_get(input, "candidates");
	int			i;
	int			k;

	json_open(got, NULL, '[');
	for (i = 0; i < json_count(candidates); i++)
	{
		const GepaJson *candidate = candidates->items[i];
		uint8		identity[ENGINE_IDENTITY_LENGTH];
		char		hex[2 * ENGINE_IDENTITY_LENGTH + 1];

		if (!gepa_engine_identity(candidate->nitems, (const char *const *) candidate->keys,
								  json_strings(candidate), identity))
			return false;
		for (k = 0; k < ENGINE_IDENTITY_LENGTH; k++)
			snprintf(hex + 2 * k, 3, "%02x", identity[k]);
		json_put_string(got, NULL, hex);
	}
	json_close(got, ']');
	return json_count(candidates) > 0;
}

/* What a name like "max_proposals_3_on_i" sets and what its values are. */
static const char *
read_stop_name(const char *name, EngineConfig *config, EngineProgress *progress, double value)
{
	double		limit;

	if (sscanf(name, "no_improvement_%d_on_best", &config->no_improvement) == 1)
	{
		progress->advance = value;
		return "no_improvement";
	}
	if (sscanf(name, "max_metric_calls_%lf_on_total", &limit) == 1)
	{
		config->budget = (int64) limit;
		progress->rollouts = (int64) value;
		return "max_metric_calls";
	}
	if (sscanf(name, "max_proposals_%lf_on_i", &limit) == 1)
	{
		config->max_proposals = (int64) limit;
		progress->iterations = (int64) value + 1;	/* i counts from zero */
		return "max_proposals";
	}
	if (sscanf(name, "max_candidates_%d_on_pool", &config->max_candidates) == 1)
	{
		progress->ncandidates = (int) value;
		return "max_candidates";
	}
	if (sscanf(name, "score_%lf_on_best", &config->stop_at_score) == 1)
	{
		progress->best = value;
		return "score";
	}
	return NULL;
}

bool
replay_stops(const GepaJson *input, const GepaJson *expected, StringInfo got)
{
	int			i;
	int			k;

	json_open(got, NULL, '{');
	for (i = 0; i < json_count(input); i++)
	{
		const GepaJson *values = input->items[i];
		EngineStops stops;
		const char *name = NULL;

		gepa_engine_stops_init(&stops);
		for (k = 0; k < json_count(values); k++)
		{
			EngineConfig config;
			EngineProgress progress;

			memset(&progress, 0, sizeof(progress));
			gepa_engine_config_init(&config);
			gepa_engine_config_reference(&config);
			name = read_stop_name(input->keys[i], &config, &progress,
								  json_double(values->items[k]));
			if (name == NULL)
				return false;
			if (k == 0)
				json_open(got, name, '[');
			json_put_bool(got, NULL,
						  gepa_engine_check_stop(&stops, &config, &progress, 0) != NULL);
		}
		if (name != NULL)
			json_close(got, ']');
	}
	json_close(got, '}');
	return json_count(input) > 0;
}
