-- 200 pages with code in table code_pages, for code.sql and both.sql: 20 topics, ten pages of
-- each.  kind says what a page is: tutorial, answer, walkthrough, reference, story (a repaired
-- fault) are worth training a code model on; minified, scaffold, licence, links, lockfile are not.
-- note is what a labeller wrote beside some labels.  corpus: one of the last four topics, the
-- crawl that is to be filtered.

CREATE TEMPORARY TABLE code_topic
(
	number int PRIMARY KEY,
	lang text,
	task text,
	why text,
	code text,
	lesson text,
	pitfall text
);
INSERT INTO code_topic VALUES
(1, 'python', 'read a large file line by line', 'A log of 40 GB does not fit into memory, and reading all of it would swap the machine to death.',
 E'with open(path, encoding="utf-8") as lines:\n    for line in lines:\n        handle(line.rstrip("\\n"))',
 'a file object is an iterator that keeps one buffer, whatever the size of the file.', 'Calling readlines() instead builds the whole list first.'),
(2, 'sql', 'find the newest row of each group', 'Orders are kept for ever, and the page wants the last one of each customer.',
 E'SELECT DISTINCT ON (customer) customer, placed_at, total\nFROM orders\nORDER BY customer, placed_at DESC;',
 'DISTINCT ON keeps the first row of each group in the given order, and an index on both columns serves it.', 'Without the second sort key the row is an arbitrary one.'),
(3, 'c', 'copy a string with a bound', 'The name comes from the network and may be longer than the buffer.',
 E'if (snprintf(buf, sizeof buf, "%s", name) >= (int) sizeof buf)\n    return -1;    /* too long: refuse it */',
 'snprintf says how long the text would have been, so that cutting off does not go unnoticed.', 'strncpy leaves a full buffer without its terminating zero.'),
(4, 'go', 'stop a worker from outside', 'A request is cancelled by its client, and the work for it should end as well.',
 E'select {\ncase <-ctx.Done():\n    return ctx.Err()\ncase job := <-jobs:\n    run(job)\n}',
 'select waits for whichever channel is ready first, and Done is closed when the context ends.', 'A worker that only reads from jobs sleeps on for ever.'),
(5, 'rust', 'return an error instead of panicking', 'A library that panics takes the whole service down for one broken file.',
 E'fn load(path: &Path) -> Result<Config, Error> {\n    let text = fs::read_to_string(path)?;\n    Ok(toml::from_str(&text)?)\n}',
 'the question mark returns the error to the caller and converts it on the way.', 'unwrap() in a library takes the decision away from whoever uses it.'),
(6, 'javascript', 'wait for several requests at once', 'Three calls, one after the other, take as long as the three together.',
 E'const [user, cart, news] = await Promise.all([\n  get("/user"), get("/cart"), get("/news"),\n]);',
 'all three are under way before the first await, and the result keeps their order.', 'With await in a loop each request waits for the one before.'),
(7, 'bash', 'clean up when a script ends', 'A script that is interrupted leaves its temporary folder behind.',
 E'work=$(mktemp -d)\ntrap ''rm -rf "$work"'' EXIT\nmake -C "$work"',
 'the trap on EXIT runs on success, on failure and on Ctrl-C alike.', 'An rm in the last line is not reached when a command before it fails.'),
(8, 'python', 'count words by frequency', 'Before one cleans a corpus one wants to see what is in it.',
 E'from collections import Counter\ncounts = Counter(word for line in lines for word in line.split())\nprint(counts.most_common(10))',
 'Counter is a dictionary whose missing keys are zero, and the generator makes no list in between.', 'Sorting all counts to see ten of them is work for nothing.'),
(9, 'java', 'close a connection in every case', 'Connections that are not given back run out on a busy day.',
 E'try (var connection = pool.getConnection();\n     var statement = connection.prepareStatement(query)) {\n    return read(statement.executeQuery());\n}',
 'what is opened in the head of try is closed in reverse order, exceptions or not.', 'A close() at the end is skipped by the first exception.'),
(10, 'sql', 'add a column to a busy table', 'The table has 300 million rows and is written to all day.',
 E'SET lock_timeout = ''2s'';\nALTER TABLE events ADD COLUMN source text;',
 'a column without a default that has to be computed changes the catalog only, and the timeout keeps the lock queue short.', 'An ALTER that waits for its lock holds up everybody who comes after it.'),
(11, 'typescript', 'tell the members of a union apart', 'The API answers with a result or with an error, and both are objects.',
 E'type Answer = { kind: "ok"; rows: Row[] } | { kind: "error"; reason: string };\nif (answer.kind === "ok") show(answer.rows);',
 'the compiler narrows the type by the literal field, so rows cannot be read of an error.', 'Testing for the presence of a field breaks when both grow one of that name.'),
(12, 'c++', 'own memory without delete', 'The function has four ways out, and each of them would need its delete.',
 E'auto parser = std::make_unique<Parser>(input);\nif (!parser->next())\n    return {};\nreturn parser->take();',
 'the destructor of unique_ptr frees the parser on each way out, an exception included.', 'A raw pointer that is returned says nothing about who owns it.'),
(13, 'ruby', 'avoid one query per row', 'A page with 50 articles made 51 queries, one for each author.',
 E'Article.includes(:author).limit(50).each do |article|\n  puts "#{article.title}, #{article.author.name}"\nend',
 'includes fetches all authors in one further query and keeps them with the articles.', 'joins alone does not load the authors; each is still fetched on first use.'),
(14, 'haskell', 'sum a long list in constant space', 'A sum over ten million numbers used two gigabytes.',
 E'import Data.List (foldl'')\ntotal :: [Int] -> Int\ntotal = foldl'' (+) 0',
 'the strict fold adds at once, where the lazy one builds ten million sums to be done later.', 'foldl without the prime looks the same and keeps them all.'),
(15, 'python', 'test code that reads the clock', 'A test that passes by day and fails at midnight is worse than none.',
 E'def greeting(now=datetime.now):\n    return "Good morning" if now().hour < 12 else "Hello"\n\ndef test_greeting():\n    assert greeting(lambda: datetime(2024, 1, 1, 9)) == "Good morning"',
 'the clock is an argument, so the test brings its own.', 'Patching datetime globally changes it for everything that runs meanwhile.'),
(16, 'go', 'limit how much runs at a time', 'Ten thousand goroutines opened ten thousand connections at once.',
 E'slots := make(chan struct{}, 8)\nfor _, url := range urls {\n    slots <- struct{}{}\n    go func() { defer func() { <-slots }(); fetch(url) }()\n}',
 'a buffered channel blocks when eight slots are taken, and the deferred read gives one back.', 'Giving the slot back outside of defer loses it when fetch panics.'),
(17, 'sql', 'write a running total', 'The report wants the balance after each booking.',
 E'SELECT booked_at, amount,\n       sum(amount) OVER (PARTITION BY account ORDER BY booked_at, id) AS balance\nFROM bookings;',
 'the window runs from the first row of the account to the present one.', 'Without id in the order equal times are summed together.'),
(18, 'rust', 'share a counter between threads', 'Several workers report progress to one number.',
 E'static DONE: AtomicUsize = AtomicUsize::new(0);\nDONE.fetch_add(1, Ordering::Relaxed);',
 'fetch_add is one instruction that cannot be interrupted, and no other memory depends on its order.', 'A load followed by a store loses counts between the two.'),
(19, 'bash', 'handle file names with blanks', 'Somebody uploaded "final version (2).txt", and the backup skipped it.',
 E'find . -name "*.txt" -print0 |\n    while IFS= read -r -d "" file; do cp -- "$file" /backup/; done',
 'names end with a zero byte, the only one that a name cannot have.', 'A for loop over the output of ls splits names at each blank.'),
(20, 'javascript', 'run a function after typing has stopped', 'Each key press sent a search request.',
 E'let timer;\ninput.addEventListener("input", () => {\n  clearTimeout(timer);\n  timer = setTimeout(search, 300);\n});',
 'each key press takes back the call that the one before had planned.', 'Throttling instead would still send requests in the middle of a word.');

CREATE TABLE code_pages
(
	id int PRIMARY KEY,
	url text NOT NULL,
	topic text NOT NULL,
	body text NOT NULL,
	kind text NOT NULL,
	label text NOT NULL,
	note text NOT NULL,
	corpus bool NOT NULL
);
INSERT INTO code_pages
WITH page AS (
	SELECT t.number, k.ordinality AS place, k.kind, t.lang, t.task,
		CASE k.kind
			WHEN 'tutorial' THEN format(E'# How to %s in %s\n\n%s\n\n```%s\n%s\n```\n\nThis works because %s\n\n**Watch out.** %s', task, lang, why, lang, code, lesson, pitfall)
			WHEN 'answer' THEN format(E'How do I %s? %s What I tried did not work.\n\n3 answers, sorted by votes\n\nTry this:\n\n%s\n\nThis works because %s %s', task, why, code, lesson, pitfall)
			WHEN 'walkthrough' THEN format(E'## %s, step by step\n\nThe problem first: %s\n\nLine by line:\n\n%s\n\nThis works because %s', initcap(task), why, code, lesson)
			WHEN 'reference' THEN format(E'NAME\n    Recipe %s: %s\n\nEXAMPLE\n%s\n\nNOTES\n    This works because %s\n\nBUGS\n    %s', number, task, regexp_replace(code, '^', '    ', 'gn'), lesson, pitfall)
			WHEN 'story' THEN format(E'Post-mortem: %s\n\nWe had to %s. %s The first version got it wrong. %s\n\nThe fix:\n\n%s\n\nThis works because %s', lang, task, why, pitfall, code, lesson)
			WHEN 'minified' THEN format('/*! %s.min.js v%s.2.1 */!function(e,t){"object"==typeof exports?module.exports=t():e.%s=t()}(this,function(){var n={},r=[%s];return n.%s=function(o,i){for(var a=0;a<r.length;a++)r[a]===o&&(i=a^%s);return i},n});',
				replace(task, ' ', '-'), number, replace(initcap(task), ' ', ''), 17 * number, left(lang, 2), number)
			WHEN 'scaffold' THEN format(E'// <auto-generated> by scaffold-%s %s.4. DO NOT EDIT.\npublic partial class %sController : ControllerBase\n{\n    public int Id { get; set; }\n    public string Name { get; set; }\n    public string Description { get; set; }\n    // TODO: %s\n    public override string ToString() { return base.ToString(); }\n}',
				lang, number, replace(initcap(task), ' ', ''), task)
			WHEN 'licence' THEN format(E'Copyright (c) %s the authors of lib%s-%s\n\nPermission is hereby granted, free of charge, to any person obtaining a copy of this software, to deal in the software without restriction.\n\nTHE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND. It helps to %s, and nothing is promised.',
				2000 + number, left(lang, 2), number, task)
			WHEN 'links' THEN format(E'# Awesome %s\n\n- [How to %s](https://a.example/%s)\n- [Ten ways to %s](https://b.example/%s)\n- [%s cheat sheet](https://c.example/%s)\n- [Newsletter](https://d.example/%s)\n\nBack to top', lang, task, number, task, number, initcap(lang), number, number)
			ELSE format(E'{"name": "%s", "lockfileVersion": 3, "packages": {\n  "lib%s": {"version": "%s.0.3", "integrity": "sha512-%s"},\n  "%s-utils": {"version": "1.%s.0", "integrity": "sha512-%s"}}}',
				replace(task, ' ', '-'), left(lang, 2), number, md5(task), left(lang, 2), number, md5(why))
		END AS body
	FROM code_topic t, unnest('{tutorial,answer,walkthrough,reference,story,minified,scaffold,licence,links,lockfile}'::text[]) WITH ORDINALITY k(kind, ordinality)
)
SELECT 10 * (number - 1) + place, format('https://code.example/%s/%s-%s', lang, number, place), task, body, kind,
	CASE WHEN place <= 5 THEN 'keep' ELSE 'drop' END,
	CASE WHEN (number + place) % 3 > 0 THEN '' ELSE CASE kind
		WHEN 'minified' THEN 'Nobody learns from minified code.'
		WHEN 'scaffold' THEN 'Scaffolding that a tool generated, nobody wrote it.'
		WHEN 'licence' THEN 'Licence texts are not code.'
		WHEN 'links' THEN 'One of those lists of links.'
		WHEN 'lockfile' THEN 'Lock files have no code in them.'
		ELSE 'Code with an explanation, that is what we want.' END END,
	number > 16
FROM page
ORDER BY number, place;
DROP TABLE code_topic;
ANALYZE code_pages;
