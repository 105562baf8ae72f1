--
-- Schedules: the times that a cron text means, and what is refused.  (Firing
-- is tested in test/t, because it needs workers.)
--
\pset format unaligned
\pset tuples_only on
SET TimeZone = 'Europe/Berlin';
SET DateStyle = 'ISO, YMD';

-- Ordinary times; the session's zone is the default.
SELECT gepa.schedule_times('30 3 * * mon', after => '2026-11-25 12:00+01', n => 3);
SELECT gepa.schedule_times('@monthly', 'America/New_York', '2026-11-25 12:00+01', 2);
SELECT count(*) FROM gepa.schedule_times('*/15 * * * *');
SELECT min(t) > now(), max(t) <= now() + interval '2 hours' FROM gepa.schedule_times('@hourly', n => 2) t;

-- Clocks go forward: what the zone skips is shifted.
SELECT gepa.schedule_times('30 2 * * *', after => '2026-03-27 12:00+01', n => 3);
SELECT gepa.schedule_times('*/30 1-3 * * *', after => '2026-03-29 00:59+01', n => 5);
SELECT t AT TIME ZONE 'America/New_York', t AT TIME ZONE 'UTC'
FROM gepa.schedule_times('30 2 * * *', 'America/New_York', '2026-03-07 00:00-05', 3) t;

-- Clocks go back: what comes twice fires once, the second time.
SELECT gepa.schedule_times('30 2 * * *', after => '2026-10-24 12:00+02', n => 2);
SELECT gepa.schedule_times('0 * * * *', after => '2026-10-25 00:30+02', n => 4);
SELECT gepa.schedule_times('*/20 * * * *', after => '2026-10-25 02:10+02', n => 3);
SELECT t AT TIME ZONE 'America/New_York', t AT TIME ZONE 'UTC'
FROM gepa.schedule_times('30 1 * * *', 'America/New_York', '2026-10-31 00:00-04', 3) t;

-- Half an hour of summer time; a day that was left out.
SELECT t AT TIME ZONE 'Australia/Lord_Howe', t AT TIME ZONE 'UTC'
FROM gepa.schedule_times('10 2 * * *', 'Australia/Lord_Howe', '2026-10-03 00:00+10:30', 2) t;
SELECT t AT TIME ZONE 'Pacific/Apia', t AT TIME ZONE 'UTC'
FROM gepa.schedule_times('0 12 * * *', 'Pacific/Apia', '2011-12-29 00:00-10', 3) t;

-- Wherever: later and later, and no local time twice.
SELECT zone, count(*), bool_and(t > before) AS rising, count(DISTINCT t AT TIME ZONE zone)
FROM (VALUES ('Europe/Berlin'), ('America/New_York'), ('Australia/Lord_Howe'), ('Africa/Casablanca'), ('UTC')) AS z(zone),
	LATERAL (SELECT t, lag(t, 1, '-infinity') OVER (ORDER BY n) AS before
		FROM gepa.schedule_times('*/30 0-4 * * *', zone, '2025-01-01', 10000) WITH ORDINALITY AS x(t, n)) l
GROUP BY zone ORDER BY zone;

-- Refused.
SELECT refused('SELECT gepa.schedule_times(' || arguments || ')')
FROM (VALUES
	(1, $$NULL$$), (2, $$''$$), (3, $$'60 * * * *'$$), (4, $$'0 3 * *'$$), (5, $$'@never'$$),
	(6, $$'0 0 31 2 *'$$), (7, $$'0 3 * * *', 'Europe/Nowhere'$$), (8, $$'0 3 * * *', n => 0$$),
	(9, $$'0 3 * * *', n => 10001$$), (10, $$'0 3 * * *', n => NULL$$), (11, $$'0 3 * * *', after => 'infinity'$$),
	(12, $$'0 3 * * *', after => '0044-03-15 BC'$$)) AS a(n, arguments)
ORDER BY n;

CREATE SERVER regress_lm FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'canned');
SELECT gepa.create_judge('cats', 'regress_lm', 'Is the text about "cats"?') > 0;
CREATE TABLE regress_labels AS
SELECT i AS id, 'text ' || i AS body, i % 2 = 0 AS keep FROM generate_series(1, 20) i;
SELECT gepa.create_dataset('labels', 'regress_labels', 'id', '{body}', 'keep') > 0;
SELECT refused('SELECT gepa.create_schedule(' || arguments || ')')
FROM (VALUES
	(1, $$'s', 'cats', 'labels', 'regress_lm'$$),
	(2, $$'s', 'cats', 'labels', 'regress_lm', every => '1 day', at => '@daily'$$),
	(3, $$'s', 'cats', 'labels', 'regress_lm', every => '0'$$),
	(4, $$'s', 'cats', 'labels', 'regress_lm', every => '999 ms'$$),
	(5, $$'s', 'cats', 'labels', 'regress_lm', every => '1 day -1 hour'$$),
	(6, $$'s', 'cats', 'labels', 'regress_lm', every => '300000 years'$$),
	(7, $$'s', 'cats', 'labels', 'regress_lm', at => '0 3 * *'$$),
	(8, $$'s', 'cats', 'labels', 'regress_lm', every => '1 day', time_zone => 'Europe/Nowhere'$$),
	(9, $$'', 'cats', 'labels', 'regress_lm', every => '1 day'$$),
	(10, $$NULL, 'cats', 'labels', 'regress_lm', every => '1 day'$$),
	(11, $$'s', 'dogs', 'labels', 'regress_lm', every => '1 day'$$),
	(12, $$'s', 'cats', 'missing', 'regress_lm', every => '1 day'$$),
	(13, $$'s', 'cats', 'labels', 'regress_missing', every => '1 day'$$),
	(14, $$'s', 'cats', 'labels', 'regress_lm', every => '1 day', min_new_labels => -1$$),
	(15, $$'s', 'cats', 'labels', 'regress_lm', every => '1 day', budget => 0$$),
	(16, $$'s', 'cats', 'labels', 'regress_lm', every => '1 day', deploy => 'always'$$),
	(17, $$'s', 'cats', 'labels', 'regress_lm', every => '1 day', level => 0$$),
	(18, $$'s', 'cats', 'labels', 'regress_lm', every => '1 day', level => 'NaN'$$),
	(19, $$'s', 'cats', 'labels', 'regress_lm', every => '1 day', options => '{"minibatch_size": 0}'$$)) AS a(n, arguments)
ORDER BY n;
SELECT refused('SELECT gepa.' || call)
FROM (VALUES (1, $$drop_schedule('missing')$$), (2, $$disable_schedule('missing')$$),
	(3, $$watch_dataset('cats', 'labels', 'regress_lm', 0)$$), (4, $$watch_dataset('cats', 'labels', 'regress_lm', -1)$$),
	(5, $$watch_dataset('cats', 'labels', 'regress_lm', 5, look_every => NULL)$$)) AS a(n, call) ORDER BY n;
SELECT count(*) FROM gepa.schedules;
SELECT gepa.drop_judge('cats');
SELECT gepa.drop_dataset('labels');
DROP TABLE regress_labels;
DROP SERVER regress_lm;
