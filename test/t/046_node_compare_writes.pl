# The judge node off and on: statements that write (test/perl/Gepa/Compare.pm).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Compare;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $compare = Gepa::Compare->new;

my @see = (after => 'SELECT * FROM docs ORDER BY id', vacuum => 'docs, tags');
my @made = (after => 'SELECT * FROM made', before => 'CREATE TABLE made (id int PRIMARY KEY, body text)');
my $good = "SELECT id, body FROM docs WHERE gepa_judge('j', body)";

# -- INSERT, and tables made of a query

$compare->run(
	'insert' => [ "INSERT INTO made $good", @made ],
	'insert, the list' => [ "INSERT INTO made SELECT id, (gepa_verdict('j', body)).label FROM docs", @made ],
	'insert returning' => [ "INSERT INTO made $good RETURNING id, body", @made ],
	'insert, a call in RETURNING' => [ "INSERT INTO made SELECT id, body FROM docs WHERE grp = 1 RETURNING gepa_judge('j', body)", @made, peak => 'one', node => 0 ],
	'insert, judged and a call in RETURNING' => [ "INSERT INTO made $good RETURNING gepa_score('j', body)", @made ],
	'insert values' => [ "INSERT INTO made VALUES (1, gepa_judge('j', 'one')::text), (2, gepa_judge('j', 'two')::text)", @made, node => undef, peak => 'any' ],
	'insert, one by one' => [ "INSERT INTO docs (id, body) SELECT 100 + id, body FROM docs WHERE gepa_judge('j', body)", @see ],
	'on conflict do nothing' => [ "INSERT INTO docs (id, body) SELECT 2 * id, body FROM docs WHERE gepa_judge('j', body) ON CONFLICT DO NOTHING", @see ],
	'on conflict do update' => [ "INSERT INTO docs (id, body) SELECT 2 * id, body FROM docs WHERE gepa_judge('j', body) ON CONFLICT (id) DO UPDATE SET title = 'again' RETURNING id, title", @see ],
	'on conflict, a call in its condition' => [ "INSERT INTO docs (id, body) SELECT id, 'new ' || id FROM docs WHERE grp = 1 ON CONFLICT (id) DO UPDATE SET body = excluded.body WHERE gepa_judge('j', docs.body)",
		@see, peak => 'one', node => 0 ],
	'on conflict, a call in what is set' => [ "INSERT INTO docs (id, body) SELECT id, 'new ' || id FROM docs WHERE grp = 1 ON CONFLICT (id) DO UPDATE SET title = gepa_judge('j', excluded.body)::text",
		@see, peak => 'one', node => 0 ],
	'insert into partitions' => [ "INSERT INTO parts SELECT id, grp, body FROM docs WHERE gepa_judge('j', body)", after => 'SELECT tableoid::regclass, * FROM parts ORDER BY id',
		before => 'CREATE TABLE parts (id int, grp int, body text) PARTITION BY LIST (grp); CREATE TABLE p0 PARTITION OF parts FOR VALUES IN (0, 1); CREATE TABLE p1 PARTITION OF parts DEFAULT' ],
	'insert, judged by a trigger' => [ "INSERT INTO made SELECT id, body FROM docs WHERE grp = 1", node => 0, peak => 'one', after => 'SELECT * FROM made',
		before => q{CREATE TABLE made (id int, body text); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF gepa_judge('j', NEW.body) THEN RETURN NEW; END IF; RETURN NULL; END$$;
			CREATE TRIGGER t BEFORE INSERT ON made FOR EACH ROW EXECUTE FUNCTION f()} ],
	'insert, judged, and a trigger that judges' => [ "INSERT INTO made $good", after => 'SELECT * FROM made',
		before => q{CREATE TABLE made (id int, body text); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF gepa_judge('k', NEW.body) THEN RETURN NEW; END IF; RETURN NULL; END$$;
			CREATE TRIGGER t BEFORE INSERT ON made FOR EACH ROW EXECUTE FUNCTION f()} ],
	'a trigger for all rows' => [ "INSERT INTO made SELECT id, body FROM docs", explain => '', after => 'SELECT * FROM made',
		before => q{CREATE TABLE made (id int, body text); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE NOTICE '% good', (SELECT count(*) FROM n WHERE gepa_judge('j', body)); RETURN NULL; END$$;
			CREATE TRIGGER t AFTER INSERT ON made REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION f()} ],
	'a check' => [ "INSERT INTO made SELECT id, body FROM docs WHERE grp = 1", node => 0, peak => 'one', error => qr/23514: new row for relation "made" violates check/,
		before => q{CREATE TABLE made (id int, body text CHECK (gepa_judge('j', body)))} ],
	'a generated value by a rule' => [ "INSERT INTO v $good", before => q{CREATE TABLE made (id int, body text); CREATE VIEW v AS SELECT * FROM made;
			CREATE RULE r AS ON INSERT TO v DO INSTEAD INSERT INTO made VALUES (NEW.id, (gepa_verdict('k', NEW.body)).label)}, after => 'SELECT * FROM made' ],
	'create table as' => [ "CREATE TABLE made AS $good", after => 'SELECT * FROM made' ],
	'create table as, the list' => [ "CREATE TABLE made AS SELECT id, gepa_judge('j', body) FROM docs", after => 'SELECT * FROM made' ],
	'select into' => [ "SELECT id INTO made FROM docs WHERE gepa_judge('j', body)", after => 'SELECT * FROM made' ]);

# -- UPDATE

$compare->run(
	'update' => [ "UPDATE docs SET title = 'good' WHERE gepa_judge('j', body)", @see ],
	'update, what is set' => [ "UPDATE docs SET title = gepa_judge('j', body)::text WHERE grp < 3", @see ],
	'update, both' => [ "UPDATE docs SET title = (gepa_verdict('k', body)).label WHERE gepa_judge('j', body)", @see ],
	'update, a row of them' => [ "UPDATE docs SET (title, body) = (SELECT t.tag, docs.body FROM tags t WHERE t.doc = docs.id LIMIT 1) WHERE gepa_judge('j', body)", @see ],
	'update of what is judged' => [ "UPDATE docs SET body = body || ' changed' WHERE gepa_judge('j', body)", @see ],
	'update returning' => [ "UPDATE docs SET title = 'good' WHERE gepa_judge('j', body) RETURNING id, title", @see ],
	'update, a call in RETURNING' => [ "UPDATE docs SET body = body || ' changed' WHERE grp = 1 RETURNING gepa_judge('j', body)", @see, peak => 'one', node => 0 ],
	'update from' => [ "UPDATE docs d SET title = t.tag FROM tags t WHERE t.doc = d.id AND gepa_judge('j', t.tag || d.id)", @see, fewer => 1 ],
	'update from, both judged' => [ "UPDATE docs d SET title = t.tag FROM tags t WHERE t.doc = d.id AND gepa_judge('j', d.body) AND gepa_judge('k', t.tag)", @see, order => 1 ],
	'update where in' => [ "UPDATE docs SET title = 'good' WHERE id IN (SELECT doc FROM tags WHERE gepa_judge('j', tag || id))", early => 8, @see ],
	'update of a view' => [ "UPDATE v SET title = 'good' WHERE grp = 1", before => "CREATE VIEW v AS SELECT * FROM docs WHERE gepa_judge('j', body)", @see ],
	'update with a check option' => [ "UPDATE v SET body = body || ' changed'", before => "CREATE VIEW v AS SELECT * FROM docs WHERE gepa_judge('j', body) WITH CHECK OPTION", early => 64, vacuum => 'docs', error => qr/44000: new row violates check option/ ],
	'update that moves rows' => [ "UPDATE parts SET grp = grp + 1 WHERE gepa_judge('j', body)", after => 'SELECT tableoid::regclass, * FROM parts ORDER BY id',
		before => 'CREATE TABLE parts (id int, grp int, body text) PARTITION BY LIST (grp); CREATE TABLE p0 PARTITION OF parts FOR VALUES IN (0, 2); CREATE TABLE p1 PARTITION OF parts DEFAULT;
			INSERT INTO parts SELECT id, grp, body FROM docs' ],
	'update of partitions from' => [ "UPDATE parts p SET body = t.tag FROM tags t WHERE t.doc = p.id AND gepa_judge('j', t.tag || p.body)", after => 'SELECT tableoid::regclass, * FROM parts ORDER BY id', fewer => 1,
		before => 'CREATE TABLE parts (id int, grp int, body text) PARTITION BY LIST (grp); CREATE TABLE p0 PARTITION OF parts FOR VALUES IN (0, 2); CREATE TABLE p1 PARTITION OF parts DEFAULT;
			INSERT INTO parts SELECT id, grp, body FROM docs' ],
	'update of children' => [ "UPDATE parent SET body = 'good' WHERE gepa_judge('j', body)", after => 'SELECT tableoid::regclass, * FROM parent ORDER BY id',
		before => 'CREATE TABLE parent AS SELECT id, body FROM docs WHERE id < 9; CREATE TABLE child (more int) INHERITS (parent); INSERT INTO child SELECT id, body FROM docs WHERE id > 20' ],
	'update with a trigger that tells' => [ "UPDATE docs SET title = 'good' WHERE gepa_judge('j', body)", @see,
		before => q{CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE NOTICE '% % %', TG_OP, OLD.id, NEW.title; RETURN NEW; END$$;
			CREATE TRIGGER t BEFORE UPDATE ON docs FOR EACH ROW EXECUTE FUNCTION f()} ]);

# -- DELETE, MERGE, locks

$compare->run(
	'delete' => [ "DELETE FROM docs WHERE NOT gepa_judge('j', body)", @see ],
	'delete returning' => [ "DELETE FROM docs WHERE gepa_judge('j', body) RETURNING *", @see ],
	'delete, a call in RETURNING' => [ "DELETE FROM docs WHERE grp = 1 RETURNING gepa_judge('j', body)", @see, peak => 'one', node => 0 ],
	'delete using' => [ "DELETE FROM docs d USING tags t WHERE t.doc = d.id AND gepa_judge('j', t.tag || t.id)", @see, early => 8, fewer => 1 ],
	'delete where not exists' => [ "DELETE FROM docs d WHERE gepa_judge('j', body) AND NOT EXISTS (SELECT FROM tags t WHERE t.doc = d.id)", @see ],
	'delete and insert elsewhere' => [ "WITH gone AS (DELETE FROM docs WHERE gepa_judge('j', body) RETURNING *) INSERT INTO tags SELECT 1000 + id, id, title FROM gone RETURNING *", @see ],
	'merge' => [ "MERGE INTO docs d USING (SELECT * FROM tags WHERE gepa_judge('j', tag || id) AND id < 10) t ON t.doc = d.id
		WHEN MATCHED THEN UPDATE SET title = t.tag WHEN NOT MATCHED THEN INSERT (id, title) VALUES (1000 + t.id, t.tag)", @see ],
	'merge, the join judged' => [ "MERGE INTO docs d USING docs s ON d.id = s.id + 1 AND gepa_judge('j', s.body) WHEN MATCHED THEN UPDATE SET title = s.title", @see, node => undef, peak => 'any', fewer => 1 ],
	'merge, judged when matched' => [ "MERGE INTO docs d USING docs s ON d.id = s.id AND s.grp = 1 WHEN MATCHED AND gepa_judge('j', d.body) THEN UPDATE SET title = 'good' WHEN MATCHED THEN DELETE",
		@see, peak => 'one', node => 0 ],
	'merge, a call in what is set' => [ "MERGE INTO docs d USING docs s ON d.id = s.id AND s.grp = 1 WHEN MATCHED THEN UPDATE SET title = gepa_judge('j', s.body)::text", @see, peak => 'one', node => 0 ],
	'for update' => "SELECT id FROM docs WHERE gepa_judge('j', body) FOR UPDATE",
	'for update, a limit' => [ "SELECT id FROM docs WHERE gepa_judge('j', body) FOR UPDATE LIMIT 3", early => 8 ],
	'for update, skip locked' => [ "SELECT id FROM docs WHERE gepa_judge('j', body) FOR UPDATE SKIP LOCKED LIMIT 3", early => 8 ],
	'for share of one' => [ "SELECT d.id, t.id FROM docs d JOIN tags t ON t.doc = d.id WHERE gepa_judge('j', d.body || t.tag) FOR SHARE OF d NOWAIT" ],
	'for update in a subquery' => [ "UPDATE docs SET title = 'taken' WHERE id IN (SELECT id FROM docs WHERE gepa_judge('j', body) ORDER BY id FOR UPDATE SKIP LOCKED) RETURNING id", vacuum => 'docs' ]);

done_testing();
