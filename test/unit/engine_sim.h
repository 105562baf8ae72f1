/*-------------------------------------------------------------------------
 *
 * engine_sim.h
 *	  A world for the engine: scores and texts that depend on nothing but the
 *	  question, and a journal of what was told.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_TEST_ENGINE_SIM_H
#define GEPA_TEST_ENGINE_SIM_H

#include "engine/engine_internal.h"

#define SIM_MAX_STEPS 20000
#define SIM_MAX_ROLLOUTS 65536

/* How the world answers. */
typedef struct SimWorld
{
	uint32		salt;
	bool		binary;			/* scores 0 and 1, else continuous */
	int			vocabulary;		/* different texts the model writes */
	int			failing;		/* one in so many answers does not come; 0 =
								 * none */
	int			nobjectives;
	bool		lines;			/* the model adds lines to what it is shown */
	int			empty;			/* one in so many rollouts fails; 0 = none */
} SimWorld;

/* One observation. */
typedef struct SimEntry
{
	int			step;
	char	   *text;			/* reflect; NULL = no answer */
	bool		reflect;
} SimEntry;

typedef struct Sim
{
	SimWorld	world;
	Engine	   *engine;
	uint32		order;			/* 0 = serial, else seeds the order of answers */
	int			nentries;
	SimEntry   *journal;
	int			nsteps;
	EngineStep *steps;			/* by number, as handed out */
	bool	   *observed;
	int64		asked;			/* rollouts answered */
	int			accepted;		/* events after the seed */
	int			rejected;
	int			proposed;
	int			skipped;
	bool		waited_idle;	/* told to wait with nothing outstanding */
	bool		overspent;
	bool		repeated;		/* a text was asked twice for a sample */
	uint64	   *asked_for;		/* rollouts, by hash */
	StringInfoData proposals;	/* numbers, origins and texts, and decisions */
	int64		budget;			/* checked if > 0 */
} Sim;

extern uint32 sim_hash(uint32 seed, const char *text);
extern double sim_score(const SimWorld *world, const EngineStep *step, int ncomponents,
						int sample);
extern void sim_open(Sim *sim, const SimWorld *world, const EngineConfig *config, uint32 order);
extern void sim_close(Sim *sim);

/* Answer until the engine is finished or so many observations were made. */
extern void sim_run(Sim *sim, int ncomponents, int limit);

/* Tell another's journal; false when the engine asks something else. */
extern bool sim_replay(Sim *sim, int ncomponents, const Sim *from, int nentries);

/* Everything that can be seen from outside, as text. */
extern char *sim_describe(Engine *engine, int ncomponents);

#endif							/* GEPA_TEST_ENGINE_SIM_H */
