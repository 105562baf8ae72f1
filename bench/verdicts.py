#!/usr/bin/env python3
"""Measure the verdict store; run by bench/verdicts.

The baseline is one table of the same columns and key without partitions, in
the same server and session.  README.md beside this file says what is measured.
"""

import argparse
import time

from batch import Session, cpu_seconds, wal_bytes

PARTITIONS = (1, 10, 200)
ROUNDS = 7
COLUMNS = ("verdict_digest, payer, digest, judge, version, label, score, from_logprobs, reasoning, input_tokens,"
           " output_tokens, cost, latency_ms, chars_seen, chars_total")
REASON = "repeat('The page explains what its code does. ', 6)"


def rows(judge, first, last, reasoning="NULL"):
    """Rows of a judge, as SQL."""
    return f"""SELECT v.verdict_digest, j.owner, sha256(i::text::bytea), v.judge, v.version, 'true', 0.93, true,
    {reasoning}, 812, 3, 0.0000824, 143.7, 3107, 3107
    FROM gepa.judge_version v JOIN gepa.judge j USING (judge), generate_series({first}, {last}) i WHERE j.name = '{judge}'"""


def prepare(session, lookups):
    """A judge whose verdicts are stored, the baseline, and functions that look up and insert."""
    session.run(f"""
CREATE EXTENSION gepa;
CREATE SERVER canned FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned');
SELECT gepa.create_judge('measured', 'canned', 'Is it good?');
CREATE TABLE docs AS SELECT 'text ' || i AS body FROM generate_series(1, {lookups}) i;
VACUUM ANALYZE docs;
CREATE TABLE plain (LIKE gepa.verdict_default INCLUDING ALL);
CREATE FUNCTION look(relation text, n int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE wanted bytea; found_rows int := 0; d bytea[]; v bytea; r record; p oid;
BEGIN
	SELECT verdict_digest INTO v FROM gepa.judge_version WHERE judge = 1;
	SELECT owner INTO p FROM gepa.judge WHERE judge = 1;
	SELECT array_agg(t.digest) INTO d FROM (SELECT t.digest FROM gepa.verdict t WHERE verdict_digest = v LIMIT n) t;
	FOREACH wanted IN ARRAY d LOOP
		IF relation = 'plain' THEN
			SELECT * INTO r FROM plain t WHERE t.verdict_digest = v AND t.payer = p AND t.digest = wanted;
		ELSE
			SELECT * INTO r FROM gepa.verdict t WHERE t.verdict_digest = v AND t.payer = p AND t.digest = wanted;
		END IF;
		found_rows := found_rows + (r.score IS NOT NULL)::int;
	END LOOP;
	RETURN found_rows;
END $$;
CREATE FUNCTION put(relation text, n int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE v bytea; p oid;
BEGIN
	SELECT verdict_digest INTO v FROM gepa.judge_version WHERE judge = 1;
	SELECT owner INTO p FROM gepa.judge WHERE judge = 1;
	FOR i IN 1 .. n LOOP
		IF relation = 'plain' THEN
			INSERT INTO plain ({COLUMNS}) VALUES (v, p, sha256((-i)::text::bytea), 1, 1, 'true', 0.9, true, NULL,
				1, 1, 0, 1, 1, 1) ON CONFLICT DO NOTHING;
		ELSE
			INSERT INTO gepa.verdict ({COLUMNS}) VALUES (v, p, sha256((-i)::text::bytea), 1, 1, 'true', 0.9, true, NULL,
				1, 1, 0, 1, 1, 1) ON CONFLICT DO NOTHING;
		END IF;
	END LOOP;
END $$""")
    session.run("SELECT count(gepa_judge('measured', body)) FROM docs")
    wait_for_partition(session)
    session.run("INSERT INTO plain SELECT * FROM gepa.verdict; VACUUM ANALYZE plain; VACUUM ANALYZE gepa.verdict")


def wait_for_partition(session):
    """Until the writer has made one for what is deployed."""
    while session.run("SELECT to_regclass('gepa.verdict_1_1') IS NULL OR EXISTS (SELECT FROM gepa.verdict_default)").strip() == "t":
        time.sleep(0.2)
        session.run("SELECT gepa_judge('measured', clock_timestamp()::text)")


def make_partitions(session, n):
    """Further ones, each with a row, as the writer makes them."""
    have = int(session.run("SELECT count(*) - 1 FROM pg_inherits WHERE inhparent = 'gepa.verdict'::regclass"))
    for i in range(have + 1, n + 1):
        session.run(f"SELECT gepa.create_judge('other{i}', 'canned', 'Is it {i}?')")
        session.run(f"""SELECT format('CREATE TABLE gepa.verdict_{i}_1 (LIKE gepa.verdict_default INCLUDING ALL);
ALTER TABLE gepa.verdict ATTACH PARTITION gepa.verdict_{i}_1 FOR VALUES IN (%L)', verdict_digest)
FROM gepa.judge_version v JOIN gepa.judge j USING (judge) WHERE j.name = 'other{i}' \\gexec
INSERT INTO gepa.verdict ({COLUMNS}) {rows(f'other{i}', 1, 1)}""")


def once(session, sql):
    """Seconds of some SQL."""
    start = time.perf_counter()
    session.run(sql)
    return time.perf_counter() - start


def seconds(session, sql):
    """CPU of the backend for some SQL: other processes disturb it less than the time."""
    session.run(sql)
    before = cpu_seconds(session.pid)
    for _ in range(ROUNDS):
        session.run(sql)
    return (cpu_seconds(session.pid) - before) / ROUNDS


def measure_lookups(session, n):
    """Microseconds of a look-up, each way."""
    generic, custom = "SET plan_cache_mode = force_generic_plan", "SET plan_cache_mode = force_custom_plan"
    empty = seconds(session, "SELECT count(md5(body)) FROM docs")
    ways = {}
    session.run(generic)
    ways["plain"] = seconds(session, f"SELECT look('plain', {n})")
    ways["generic"] = seconds(session, f"SELECT look('verdict', {n})")
    session.run(custom)
    ways["custom"] = seconds(session, f"SELECT look('verdict', {n})")
    session.run("RESET plan_cache_mode")
    ways["gepa"] = seconds(session, "SELECT count(gepa_judge('measured', body)) FROM docs") - empty
    return {way: time / n * 1e6 for way, time in ways.items()}


def measure_inserts(session, n):
    """Microseconds of an insert, rolled back."""
    return {way: seconds(session, f"BEGIN; SELECT put('{way}', {n}); ROLLBACK") / n * 1e6 for way in ("plain", "verdict")}


def report_speed(session, options):
    """A line for each number of partitions."""
    print("| partitions | plain look-up us | generic plan | custom plan | gepa_judge() | plain insert us | insert |")
    print("|---|---|---|---|---|---|---|")
    for n in PARTITIONS:
        make_partitions(session, n)
        look = measure_lookups(session, options.lookups)
        put = measure_inserts(session, options.lookups)
        print(f"| {n} | {look['plain']:.1f} | {look['generic']:.1f} | {look['custom']:.1f} | {look['gepa']:.1f} |"
              f" {put['plain']:.1f} | {put['verdict']:.1f} |", flush=True)


def writer_pid(session):
    """The verdict writer, which must live until the end of the measurement; it leaves when idle for 2 s."""
    session.run("SELECT gepa_judge('measured', clock_timestamp()::text)")
    while not (pid := session.run("SELECT pid FROM pg_stat_activity WHERE backend_type = 'gepa verdict writer'").strip()):
        time.sleep(0.1)
    return int(pid)


def measure_writer(session, name, n, pause):
    """Verdicts that a session hands over, one each pause; returns the writer's CPU us and WAL bytes for one, and verdicts per transaction."""
    session.run(f"SELECT gepa.create_judge('{name}', 'canned', 'Is it {name}?'); SELECT gepa_judge('{name}', 'the first'); CHECKPOINT")
    mine = f"gepa.verdict v JOIN gepa.judge j USING (judge) WHERE j.name = '{name}'"
    while session.run(f"SELECT v.tableoid = 'gepa.verdict_default'::regclass FROM {mine}").strip() != "f":
        session.run(f"SELECT gepa_judge('{name}', 'the first')")
    pid = writer_pid(session)
    cpu, wal = cpu_seconds(pid), wal_bytes(session)
    session.run(f"SELECT count(gepa_judge('{name}', i::text)) FROM generate_series(1, {n}) i"
                + (f" WHERE pg_sleep({pause}) IS NOT NULL" if pause else ""))
    while int(session.run(f"SELECT count(*) FROM {mine}")) < n + 1:
        time.sleep(0.05)
    cpu, wal = cpu_seconds(pid) - cpu, wal_bytes(session) - wal
    size = float(session.run(f"SELECT count(*)::float8 / count(DISTINCT v.created_at) FROM {mine}"))
    return cpu / n * 1e6, wal / n, size


def measure_bulk(session, name, n):
    """The same rows by one statement into one table."""
    session.run("TRUNCATE plain; CHECKPOINT")
    cpu, wal = cpu_seconds(session.pid), wal_bytes(session)
    session.run(f"INSERT INTO plain SELECT v.* FROM gepa.verdict v JOIN gepa.judge j USING (judge) WHERE j.name = '{name}'")
    return (cpu_seconds(session.pid) - cpu) / n * 1e6, (wal_bytes(session) - wal) / n


def report_writer(session, options):
    """What a verdict costs the writer: as fast as canned answers come, and paced."""
    print("\n| the writer | verdicts per transaction | CPU us per verdict | INSERT ... SELECT us | WAL bytes per verdict | INSERT ... SELECT |")
    print("|---|---|---|---|---|---|")
    for name, n, pause in (("hurried", options.written, 0), ("paced", options.written // 4, 0.0005)):
        cpu, wal, size = measure_writer(session, name, n, pause)
        bulk_cpu, bulk_wal = measure_bulk(session, name, n)
        print(f"| {name} | {size:.0f} | {cpu:.1f} | {bulk_cpu:.1f} | {wal:.0f} | {bulk_wal:.0f} |", flush=True)


def report_room(session, options):
    """Bytes of so many verdicts, and how long it takes to be rid of them."""
    print("\n| a million verdicts | heap MB | index MB | prune_verdicts() ms | DELETE ms, one table |")
    print("|---|---|---|---|---|")
    for number, (name, reasoning) in enumerate((("without reasons", "NULL"), ("with reasons of 234 characters", REASON))):
        judge, table = f"big{number}", f"gepa.verdict_big_{number}"
        session.run(f"SELECT gepa.create_judge('{judge}', 'canned', 'Is it big {number}?')")
        session.run(f"""SELECT format('CREATE TABLE {table} (LIKE gepa.verdict_default INCLUDING ALL);
ALTER TABLE gepa.verdict ATTACH PARTITION {table} FOR VALUES IN (%L)', verdict_digest)
FROM gepa.judge_version v JOIN gepa.judge j USING (judge) WHERE j.name = '{judge}' \\gexec
INSERT INTO gepa.verdict ({COLUMNS}) {rows(judge, 1, options.rows, reasoning)};
TRUNCATE plain; INSERT INTO plain SELECT * FROM {table}; VACUUM ANALYZE plain; VACUUM ANALYZE {table}; CHECKPOINT""")
        heap, index = (int(session.run(f"SELECT {size}('{table}')")) / options.rows for size in ("pg_table_size", "pg_indexes_size"))
        session.run(f"SELECT gepa.alter_judge('{judge}', prompt => 'Is it another?')")
        prune = once(session, f"SELECT * FROM gepa.prune_verdicts('{judge}', 0)")
        delete = once(session, "DELETE FROM plain p USING gepa.judge_version v, gepa.judge j WHERE j.judge = v.judge"
                      f" AND j.name = '{judge}' AND p.verdict_digest = v.verdict_digest")
        print(f"| {name} | {heap:.0f} | {index:.0f} | {prune * 1000:.0f} | {delete * 1000:.0f} |", flush=True)


def main():
    """Print three tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=1000000)
    parser.add_argument("--lookups", type=int, default=15000)
    parser.add_argument("--written", type=int, default=40000)
    options = parser.parse_args()
    session = Session()
    prepare(session, options.lookups)
    report_writer(session, options)
    report_speed(session, options)
    report_room(session, options)


if __name__ == "__main__":
    main()
