-- 160 answers to questions of school physics in table answers, for preference.sql: ten kinds of
-- questions with four sets of numbers, each answered in four ways.  editor is what somebody
-- thought of 100 of them, good or bad, and does not say why; NULL for the others.  The editor's
-- rule is the expression for truth; how friendly and how long an answer is plays no part in it.

CREATE TEMPORARY TABLE physics
(
	number int PRIMARY KEY,
	question text,					-- of two numbers, a and b
	method text,
	unit text,
	check_text text,
	operation text
);
INSERT INTO physics VALUES
(1, 'A train covers %s km in %s hours. How fast is it?', 'Speed is distance over time, so divide the two.', 'km/h', 'times the hours it is the distance again', '/'),
(2, 'What is the resistance of a lamp with %s V and %s A?', 'By the law of Ohm resistance is voltage over current.', 'ohms', 'times the current it is the voltage again', '/'),
(3, 'What force gives a mass of %s kg an acceleration of %s m/s2?', 'Force is mass times acceleration.', 'N', 'divided by the mass it is the acceleration again', '*'),
(4, 'How much energy does a heater of %s W use in %s seconds?', 'Power is energy per time, so multiply.', 'J', 'divided by the time it is the power again', '*'),
(5, 'What is the density of a stone of %s g and %s cubic centimetres?', 'Density is mass over volume.', 'g/cm3', 'times the volume it is the mass again', '/'),
(6, 'What pressure does %s N make on %s square metres?', 'Pressure is force over area.', 'Pa', 'times the area it is the force again', '/'),
(7, 'What momentum has a ball of %s kg at %s m/s?', 'Momentum is mass times speed.', 'kg m/s', 'divided by the mass it is the speed again', '*'),
(8, 'What work is done when %s N act along %s m?', 'Work is force times distance along it.', 'J', 'divided by the distance it is the force again', '*'),
(9, 'How long is a wave that runs at %s m/s with %s Hz?', 'The length is speed over frequency.', 'm', 'times the frequency it is the speed again', '/'),
(10, 'What charge passes when %s A flow for %s s?', 'Charge is current times time.', 'C', 'divided by the time it is the current again', '*');

CREATE TABLE answers
(
	id int PRIMARY KEY,
	question text NOT NULL,
	answer text NOT NULL,
	truth text NOT NULL,
	editor text
);
INSERT INTO answers
WITH form(form, has_unit, has_check) AS (
	VALUES (0, true, true), (1, true, false), (2, false, true), (3, true, true)
), page AS (
	SELECT row_number() OVER (ORDER BY n.set, p.number, f.form) AS id, p.number, n.set, f.*, p.method, p.unit, p.check_text,
		format(p.question, 12 * n.set * (p.number + 1), n.set + 1) AS question,
		trim_scale(round(CASE p.operation WHEN '*' THEN 12.0 * n.set * (p.number + 1) * (n.set + 1)
			ELSE 12.0 * n.set * (p.number + 1) / (n.set + 1) END, 2)) AS result,
		(p.number + n.set + f.form / 2) % 2 = 0 AS is_friendly,
		(p.number / 2 + n.set + f.form) % 2 = 0 AS is_long
	FROM physics p, generate_series(1, 4) n(set), form f
)
SELECT id, question,
	concat(CASE WHEN is_friendly THEN 'Great question! ' END, method,
		CASE WHEN is_long THEN ' Many people stumble over this at first, and there is no shame in that: it is one of the things that become easy with some exercise, and we shall go through it without haste.' END,
		E'\n\nThe answer is ', result, CASE WHEN has_unit THEN ' ' || unit END, '.',
		CASE WHEN has_check THEN format(E'\n\nAs a check: %s.', check_text) END),
	CASE WHEN has_unit AND has_check THEN 'good' ELSE 'bad' END,
	NULL
FROM page;
UPDATE answers SET editor = truth WHERE id <= 100;
DROP TABLE physics;
ANALYZE answers;
