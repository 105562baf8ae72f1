-- What users made is dumped; keys live in user mappings and are not ours.
-- Partitions of gepa.verdict that the writer made are dumped as tables.
-- One statement each: the function updates one row of pg_extension.
SELECT pg_catalog.pg_extension_config_dump('gepa.fence', '');
SELECT pg_catalog.pg_extension_config_dump('gepa.judge', '');
SELECT pg_catalog.pg_extension_config_dump('gepa.judge_version', '');
SELECT pg_catalog.pg_extension_config_dump('gepa.router_version', '');
SELECT pg_catalog.pg_extension_config_dump('gepa.classifier', '');
SELECT pg_catalog.pg_extension_config_dump('gepa.verdict_default', '');
SELECT pg_catalog.pg_extension_config_dump('gepa.verdict_error', '');
SELECT pg_catalog.pg_extension_config_dump('gepa.dataset', '');
SELECT pg_catalog.pg_extension_config_dump('gepa.run', '');
SELECT pg_catalog.pg_extension_config_dump('gepa.router_run', '');
SELECT pg_catalog.pg_extension_config_dump('gepa.sample', '');
SELECT pg_catalog.pg_extension_config_dump('gepa.step', '');
SELECT pg_catalog.pg_extension_config_dump('gepa.reflection_call', '');
SELECT pg_catalog.pg_extension_config_dump('gepa.proposal', '');
SELECT pg_catalog.pg_extension_config_dump('gepa.rollout', '');
SELECT pg_catalog.pg_extension_config_dump('gepa.front', '');
SELECT pg_catalog.pg_extension_config_dump('gepa.decision', '');
SELECT pg_catalog.pg_extension_config_dump('gepa.schedule', '');
SELECT pg_catalog.pg_extension_config_dump('gepa.budget', '');
SELECT pg_catalog.pg_extension_config_dump('gepa.spend_day', '');
SELECT pg_catalog.pg_extension_config_dump('gepa.job', '');
SELECT pg_catalog.pg_extension_config_dump('gepa.job_claim', '');
SELECT pg_catalog.pg_extension_config_dump('gepa.job_queue', '');
SELECT pg_catalog.pg_extension_config_dump('gepa.job_error', '');
SELECT pg_catalog.pg_extension_config_dump('gepa.sweep', '');
SELECT pg_catalog.pg_extension_config_dump('gepa.sweep_point', '');
SELECT pg_catalog.pg_extension_config_dump('gepa.judge_judge_seq', '');
SELECT pg_catalog.pg_extension_config_dump('gepa.classifier_classifier_seq', '');
SELECT pg_catalog.pg_extension_config_dump('gepa.dataset_dataset_seq', '');
SELECT pg_catalog.pg_extension_config_dump('gepa.run_run_seq', '');
SELECT pg_catalog.pg_extension_config_dump('gepa.schedule_schedule_seq', '');
SELECT pg_catalog.pg_extension_config_dump('gepa.job_job_seq', '');
SELECT pg_catalog.pg_extension_config_dump('gepa.job_claim_claim_seq', '');
SELECT pg_catalog.pg_extension_config_dump('gepa.job_queue_entry_seq', '');
SELECT pg_catalog.pg_extension_config_dump('gepa.sweep_sweep_seq', '');
