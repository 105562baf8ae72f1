/*-------------------------------------------------------------------------
 *
 * engine_bench.c
 *	  What the engine itself costs when a pool has grown large.
 *
 * A pool of candidates is filled with scores as a judge gives them (0 or 1,
 * many ties) or as probabilities are (few ties), the way reference figures of
 * other implementations are made.  Then selections and additions are timed,
 * and an iteration that is rejected as a whole.  See bench/README.md.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/engine_internal.h"

#define REPEATS 11				/* the median is shown */
#define NO_PARENTS {-1, -1}

static const char *const instruction[] = {"an instruction"};

static double
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000.0 + t.tv_nsec / 1e6;
}

static int
compare_double(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

static double
median(double *values, int n)
{
	qsort(values, n, sizeof(double), compare_double);
	return values[n / 2];
}

typedef struct Bench
{
	EngineArena arena;
	EngineRandom random;
	EnginePool	pool;
	EngineFronts fronts;
	int			nval;
	bool		binary;
	int		   *samples;
	double	   *scores;
} Bench;

static void
open_bench(Bench *bench, int nval, bool binary)
{
	memset(bench, 0, sizeof(Bench));
	bench->nval = nval;
	bench->binary = binary;
	bench->samples = palloc(nval * sizeof(int));
	bench->scores = palloc(nval * sizeof(double));
	for (int i = 0; i < nval; i++)
		bench->samples[i] = i;
	gepa_engine_arena_init(&bench->arena);
	gepa_engine_random_seed(&bench->random, 1);
	gepa_engine_pool_init(&bench->pool, &bench->arena, 1, nval);
	gepa_engine_fronts_init(&bench->fronts, &bench->arena, ENGINE_FRONTIER_INSTANCE, nval);
	bench->fronts.ascending = true;
}

/* A candidate that is right on a little more than half; milliseconds to add. */
static double
add_candidate(Bench *bench)
{
	static const int parents[2] = NO_PARENTS;
	EngineObjectives none = {0};
	double		level = 0.45 + 0.2 * gepa_engine_random_uniform(&bench->random);
	double		start;
	int			candidate;

	for (int i = 0; i < bench->nval; i++)
	{
		double		draw = gepa_engine_random_uniform(&bench->random);

		bench->scores[i] = bench->binary ? (draw < level) : (draw + level) / 2;
	}
	start = now_ms();
	candidate = gepa_engine_pool_add(&bench->pool, instruction, parents, bench->nval, bench->samples,
									 bench->scores);
	gepa_engine_fronts_add(&bench->fronts, candidate, bench->nval, bench->samples,
						   bench->scores, &none);
	return now_ms() - start;
}

static double
select_parent(Bench *bench)
{
	double		start = now_ms();

	(void) gepa_engine_select_parent(&bench->random, &bench->pool, &bench->fronts,
									 ENGINE_SELECT_PARETO, 0.1, 5);
	return now_ms() - start;
}

static void
run(int nval, int ncandidates, bool binary)
{
	Bench		bench;
	struct rusage usage;
	double		selections[REPEATS];
	double		additions[REPEATS];

	open_bench(&bench, nval, binary);
	for (int i = 0; i < ncandidates - REPEATS; i++)
		(void) add_candidate(&bench);
	for (int i = 0; i < REPEATS; i++)
		additions[i] = add_candidate(&bench);
	for (int i = 0; i < REPEATS; i++)
		selections[i] = select_parent(&bench);
	getrusage(RUSAGE_SELF, &usage);
	printf("| %6d | %5d | %-10s | %9.3f | %9.3f | %7.1f |\n", nval, ncandidates,
		   binary ? "binary" : "continuous", median(selections, REPEATS),
		   median(additions, REPEATS), usage.ru_maxrss / 1024.0);
}

/* In a process of its own, for the peak of its memory. */
static void
run_apart(int nval, int ncandidates, bool binary)
{
	int			status;
	pid_t		pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
	{
		run(nval, ncandidates, binary);
		fflush(stdout);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0)
	{
		fprintf(stderr, "a measurement failed\n");
		exit(1);
	}
}

int
main(void)
{
	static const int sizes[] = {100, 1000, 10000};
	static const int pools[] = {50, 200, 1000};

	printf("|    val | pool  | scores     | select ms | add ms    | peak MB |\n");
	printf("|--------|-------|------------|-----------|-----------|---------|\n");
	for (int binary = 1; binary >= 0; binary--)
		for (int s = 0; s < lengthof(sizes); s++)
			for (int p = 0; p < lengthof(pools); p++)
				run_apart(sizes[s], pools[p], binary);
	return 0;
}
