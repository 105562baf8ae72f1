-- What users made is dumped; keys live in user mappings and are not ours.
SELECT pg_catalog.pg_extension_config_dump(t, '')
FROM pg_catalog.unnest(ARRAY[
	'gepa.fence', 'gepa.judge', 'gepa.judge_version', 'gepa.verdict',
	'gepa.verdict_error', 'gepa.dataset', 'gepa.run', 'gepa.sample',
	'gepa.step', 'gepa.proposal', 'gepa.rollout', 'gepa.front',
	'gepa.judge_judge_seq', 'gepa.dataset_dataset_seq', 'gepa.run_run_seq'
]::regclass[]) AS t;
