-- 200 pages of mathematics and physics in table stem_pages, for stem.sql and both.sql: 20
-- topics, ten pages of each.  What a page is like is known, but no judge is shown it:
--
--   formatting  NULL: headings, paragraphs and formulas are as they should be; else what is
--               wrong: renderer (each formula twice, once as the renderer's source),
--               navigation (menus and cookie notices between the text), one_line
--   reasoning   NULL: each step says why; else asserted (nothing but claims), circular
--               (the result is assumed), plugged (numbers put into an unexplained formula)
--   corpus      one of the last four topics: the crawl that is to be filtered

CREATE TEMPORARY TABLE stem_topic
(
	number int PRIMARY KEY,
	subject text,
	title text,
	claim text,
	steps text[],
	example text
);
INSERT INTO stem_topic VALUES
(1, 'algebra', 'The quadratic formula',
 $tex$The solutions of $a x^2 + b x + c = 0$ with $a \ne 0$ are $x = \frac{-b \pm \sqrt{b^2 - 4ac}}{2a}$.$tex$,
 ARRAY[$tex$Divide by $a$, which is allowed because $a \ne 0$: $x^2 + \frac{b}{a} x = -\frac{c}{a}$.$tex$,
  $tex$Add $\frac{b^2}{4a^2}$ on both sides, because the left side then is the square $(x + \frac{b}{2a})^2$.$tex$,
  $tex$Take roots. Both signs are needed because a number and its negative have the same square.$tex$],
 $tex$For $x^2 - 5x + 6 = 0$ it gives $x = \frac{5 \pm 1}{2}$, that is 2 and 3.$tex$),
(2, 'number theory', 'The square root of two is irrational',
 $tex$There are no whole numbers $p$ and $q$ with $\left(\frac{p}{q}\right)^2 = 2$.$tex$,
 ARRAY[$tex$Suppose there were, in lowest terms. Then $p^2 = 2 q^2$, so $p$ is even, because the square of an odd number is odd.$tex$,
  $tex$Write $p = 2r$. Then $q^2 = 2 r^2$, and $q$ is even for the same reason.$tex$,
  $tex$That contradicts lowest terms, because $p$ and $q$ share the factor 2. So there are no such numbers.$tex$],
 $tex$The fraction $\frac{99}{70}$ comes close: its square is $2.00020$, and never exactly 2.$tex$),
(3, 'combinatorics', 'Counting subsets',
 $tex$A set of $n$ elements has $2^n$ subsets.$tex$,
 ARRAY[$tex$A subset is chosen by going through the elements and taking or leaving each one.$tex$,
  $tex$These choices are independent, because taking one element forbids no other; so their numbers multiply.$tex$,
  $tex$There are $n$ choices of two kinds, hence $2 \cdot 2 \cdots 2 = 2^n$; different choices give different subsets because they differ in some element.$tex$],
 $tex$For $n = 3$ there are 8: the empty set, three of one element, three of two, and the whole.$tex$),
(4, 'analysis', 'The sum of a geometric series',
 $tex$For $|q| < 1$ the series $\sum_{k \ge 0} q^k$ converges to $\frac{1}{1 - q}$.$tex$,
 ARRAY[$tex$Let $s_n = 1 + q + \dots + q^n$. Then $s_n - q s_n = 1 - q^{n+1}$, because all other terms cancel in pairs.$tex$,
  $tex$Since $q \ne 1$ we may divide: $s_n = \frac{1 - q^{n+1}}{1 - q}$.$tex$,
  $tex$The power $q^{n+1}$ tends to 0 because $|q| < 1$, and what remains is $\frac{1}{1-q}$.$tex$],
 $tex$With $q = \frac{1}{2}$ the sum is 2: one whole, a half, a quarter and so on.$tex$),
(5, 'geometry', 'The theorem of Pythagoras',
 $tex$In a right triangle with legs $a$, $b$ and hypotenuse $c$ we have $a^2 + b^2 = c^2$.$tex$,
 ARRAY[$tex$Put four copies of the triangle into a square of side $a + b$, so that their hypotenuses bound an inner figure.$tex$,
  $tex$The inner figure is a square of side $c$, because the two acute angles of the triangle add up to a right angle.$tex$,
  $tex$Compare areas: $(a+b)^2 = c^2 + 4 \cdot \frac{ab}{2}$, and the claim follows because $2ab$ cancels.$tex$],
 $tex$Legs of 5 and 12 have the hypotenuse 13, since $25 + 144 = 169$.$tex$),
(6, 'mechanics', 'Free fall from rest',
 $tex$A body that falls from rest has covered $s = \frac{1}{2} g t^2$ after the time $t$.$tex$,
 ARRAY[$tex$Near the ground the acceleration $g$ is constant, because height changes by little compared with the radius of the earth.$tex$,
  $tex$So the speed grows evenly, $v = g t$, because acceleration is the rate of change of speed.$tex$,
  $tex$The distance is the area under that line, a triangle of base $t$ and height $g t$, because distance is the sum of speed times time.$tex$],
 $tex$After 2 s it is $\frac{1}{2} \cdot 9.8 \cdot 4 = 19.6$ m.$tex$),
(7, 'mechanics', 'Kinetic energy',
 $tex$A body of mass $m$ and speed $v$ has the kinetic energy $\frac{1}{2} m v^2$.$tex$,
 ARRAY[$tex$Accelerate it from rest with a constant force $F = m a$ over the distance $s$; the work done is $F s$.$tex$,
  $tex$From rest $v^2 = 2 a s$, because the mean speed is $\frac{v}{2}$ and the time is $\frac{v}{a}$.$tex$,
  $tex$So $F s = m a s = \frac{1}{2} m v^2$, and this is the energy because without friction nothing of the work is lost.$tex$],
 $tex$A cyclist of 80 kg at 5 m/s has $\frac{1}{2} \cdot 80 \cdot 25 = 1000$ J.$tex$),
(8, 'electricity', 'Resistors in parallel',
 $tex$Two resistors in parallel act like one with $\frac{1}{R} = \frac{1}{R_1} + \frac{1}{R_2}$.$tex$,
 ARRAY[$tex$Both have the same voltage $U$, because their ends are joined by wires without resistance.$tex$,
  $tex$Through them flow $I_1 = \frac{U}{R_1}$ and $I_2 = \frac{U}{R_2}$, by the law of Ohm.$tex$,
  $tex$The whole current is $I_1 + I_2$, because charge does not pile up at the joint; divide by $U$.$tex$],
 $tex$Of 6 and 3 ohms in parallel there remain 2 ohms.$tex$),
(9, 'probability', 'The birthday problem',
 $tex$Among 23 people two share a birthday with a probability above $\frac{1}{2}$.$tex$,
 ARRAY[$tex$Count the opposite, that all birthdays differ, because it is one product instead of many cases.$tex$,
  $tex$The second person avoids the first with $\frac{364}{365}$, the third both with $\frac{363}{365}$, and so on; these multiply because each is given the ones before.$tex$,
  $tex$For 23 people the product is $0.493$, so a shared birthday has $1 - 0.493 = 0.507$, because one of the two must happen.$tex$],
 $tex$For 40 people it is already 0.89.$tex$),
(10, 'thermodynamics', 'Mixing hot and cold water',
 $tex$Masses $m_1$, $m_2$ of water at $T_1$, $T_2$ mix to $T = \frac{m_1 T_1 + m_2 T_2}{m_1 + m_2}$.$tex$,
 ARRAY[$tex$The heat that one part loses the other gains, because the vessel is insulated and energy is conserved.$tex$,
  $tex$So $c\, m_1 (T_1 - T) = c\, m_2 (T - T_2)$, with the same $c$ on both sides because both are water.$tex$,
  $tex$Cancel $c$ and solve for $T$, which is possible because the masses are not both zero.$tex$],
 $tex$One litre at 80 degrees and three at 20 give $\frac{80 + 60}{4} = 35$ degrees.$tex$),
(11, 'analysis', 'The derivative of a product',
 $tex$If $f$ and $g$ are differentiable, so is their product, and $(fg)' = f'g + fg'$.$tex$,
 ARRAY[$tex$Write the difference $f(x+h)g(x+h) - f(x)g(x)$ and insert $f(x)g(x+h)$ twice, which changes nothing because it is added and taken away.$tex$,
  $tex$Divide by $h$: the first part tends to $f'(x) g(x)$, because $g$ is continuous and $g(x+h)$ tends to $g(x)$.$tex$,
  $tex$The second part tends to $f(x) g'(x)$ because $f(x)$ does not depend on $h$.$tex$],
 $tex$For $x^2 \sin x$ it gives $2x \sin x + x^2 \cos x$.$tex$),
(12, 'number theory', 'There are infinitely many primes',
 $tex$No finite list $p_1, \dots, p_n$ contains all prime numbers.$tex$,
 ARRAY[$tex$Look at $N = p_1 p_2 \cdots p_n + 1$, which has some prime divisor, because every number above 1 has one.$tex$,
  $tex$None of the $p_i$ divides $N$, because each leaves the remainder 1.$tex$,
  $tex$So that divisor is missing in the list, whatever the list was.$tex$],
 $tex$From 2, 3, 5 one gets $31$, itself a prime; from 2, 3, 5, 7, 11, 13 one gets $30031 = 59 \cdot 509$.$tex$),
(13, 'optics', 'Snell''s law from the principle of Fermat',
 $tex$At a boundary $n_1 \sin \alpha = n_2 \sin \beta$.$tex$,
 ARRAY[$tex$Light takes the path of least time, and its speed in a medium is $\frac{c}{n}$.$tex$,
  $tex$Let the ray cross the boundary at $x$; the time is $t(x) = \frac{n_1}{c} \sqrt{a^2 + x^2} + \frac{n_2}{c} \sqrt{b^2 + (d-x)^2}$, because each part is a straight line.$tex$,
  $tex$At the least time $t'(x) = 0$, and the two fractions that appear are sines because they are leg over hypotenuse.$tex$],
 $tex$From air into water at 45 degrees the ray goes on at 32 degrees.$tex$),
(14, 'linear algebra', 'Why a determinant of zero means no inverse',
 $tex$A square matrix $A$ with $\det A = 0$ has no inverse.$tex$,
 ARRAY[$tex$Determinants multiply: $\det(AB) = \det A \cdot \det B$, because volumes are scaled by one map after the other.$tex$,
  $tex$If $AB = I$, then $\det A \cdot \det B = 1$, because the unit cube keeps its volume.$tex$,
  $tex$With $\det A = 0$ the left side is 0, which is impossible because $0 \ne 1$.$tex$],
 $tex$The matrix with rows $(1, 2)$ and $(2, 4)$ squeezes the plane into a line.$tex$),
(15, 'mechanics', 'The period of a pendulum',
 $tex$A pendulum of length $l$ swings, as long as angles are small, with the period $T = 2 \pi \sqrt{\frac{l}{g}}$.$tex$,
 ARRAY[$tex$Along the arc the weight pulls back with $-m g \sin \varphi$, because the rest of it only stretches the string.$tex$,
  $tex$For small angles $\sin \varphi \approx \varphi$, because the next term of the series is $\frac{\varphi^3}{6}$.$tex$,
  $tex$So $l \varphi'' = -g \varphi$, whose solutions have the angular frequency $\sqrt{g/l}$ because two derivatives of a sine bring out its square.$tex$],
 $tex$With $l = 1$ m it takes 2.0 s, which clocks have used.$tex$),
(16, 'probability', 'Bayes'' theorem and a rare disease',
 $tex$A test that is right in 99 of 100 cases, for a disease that 1 in 1000 has, is right about a positive in one case of eleven.$tex$,
 ARRAY[$tex$Think of 100,000 people: 100 are ill, and the test finds 99 of them, because it is right in 99 of 100 cases.$tex$,
  $tex$Of the 99,900 others it marks 999 by mistake, because one in a hundred is wrong.$tex$,
  $tex$So $\frac{99}{99 + 999} = 0.09$ of those with a positive are ill; it is that little because the healthy are so many.$tex$],
 $tex$A second, independent test raises it to 0.91.$tex$),
(17, 'geometry', 'The area of a circle',
 $tex$A circle of radius $r$ has the area $\pi r^2$.$tex$,
 ARRAY[$tex$Cut it into $2n$ equal sectors and lay them side by side, turned up and down in turn.$tex$,
  $tex$The figure tends to a rectangle of height $r$ and width $\pi r$, because half of the arcs, $2 \pi r$ in all, lie on each side.$tex$,
  $tex$Its area is $\pi r \cdot r$, and cutting changes no area because pieces are only moved.$tex$],
 $tex$A pizza of 30 cm has $\pi \cdot 15^2 = 707$ square centimetres.$tex$),
(18, 'waves', 'The Doppler effect of a moving source',
 $tex$A source of frequency $f$ that comes nearer with speed $v$ is heard with $f' = \frac{f}{1 - v/c}$.$tex$,
 ARRAY[$tex$Between two crests passes the time $\frac{1}{f}$, in which the source follows its first crest by $\frac{v}{f}$.$tex$,
  $tex$So the crests are $\frac{c - v}{f}$ apart, because sound itself runs at $c$ whatever the source does.$tex$,
  $tex$The ear counts $c$ divided by that distance, because crests arrive at speed $c$.$tex$],
 $tex$A siren of 700 Hz at 20 m/s is heard at 743 Hz.$tex$),
(19, 'analysis', 'The harmonic series diverges',
 $tex$The sums $1 + \frac{1}{2} + \frac{1}{3} + \dots + \frac{1}{n}$ grow beyond every bound.$tex$,
 ARRAY[$tex$Group the terms: one half, then two, then four, then eight, each group up to the next power of two.$tex$,
  $tex$The group that ends with $\frac{1}{2^k}$ has $2^{k-1}$ terms and is at least $\frac{1}{2}$, because none of its terms is below $\frac{1}{2^k}$.$tex$,
  $tex$There are as many groups as we like, so the sum exceeds any bound, because halves add up.$tex$],
 $tex$It is slow: to pass 10 takes 12,367 terms.$tex$),
(20, 'fluids', 'Why a ship of steel floats',
 $tex$A body in water is pushed up by the weight of the water whose place it takes.$tex$,
 ARRAY[$tex$Think the body away and water in its place: that water stays where it is, because nothing in still water moves.$tex$,
  $tex$So what is around carries exactly its weight $\rho V g$, because forces on a thing at rest cancel.$tex$,
  $tex$The surroundings cannot tell a body from water, because pressure depends on depth alone; so they carry the body as much.$tex$],
 $tex$A hull of 1000 tons that can take the place of 3000 tons of water sinks in by a third.$tex$);

CREATE TEMPORARY TABLE stem_form
(
	form int PRIMARY KEY,
	layout text,					-- of a page that is as it should be
	ill_formatted bool,
	ill_reasoned bool
);
INSERT INTO stem_form VALUES
	(1, 'lesson', false, false), (2, 'answer', false, false), (3, 'notes', false, false), (4, 'exercise', false, false),
	(5, 'lesson', true, false), (6, 'notes', true, false), (7, 'lesson', false, true), (8, 'answer', false, true),
	(9, 'notes', true, true), (10, 'exercise', true, true);

CREATE TABLE stem_pages
(
	id int PRIMARY KEY,
	url text NOT NULL,
	topic text NOT NULL,
	body text NOT NULL,
	formatting text,
	reasoning text,
	corpus bool NOT NULL
);
INSERT INTO stem_pages
WITH form AS (
	SELECT f.form, f.layout, t.*,
		CASE WHEN f.ill_formatted THEN (ARRAY['renderer', 'navigation', 'one_line'])[1 + (number + form) % 3] END AS formatting,
		CASE WHEN f.ill_reasoned THEN (ARRAY['asserted', 'circular', 'plugged'])[1 + (number / 3 + form) % 3] END AS reasoning
	FROM stem_form f, stem_topic t
), argued AS (
	SELECT *, CASE reasoning
			WHEN 'asserted' THEN format(E'This is obvious, and it is easy to see that it holds in general. Whoever has seen some %s will agree at once.\n\nThe details are left out here; they add nothing, and every textbook has them.', subject)
			WHEN 'circular' THEN E'To show it, let us assume the result for the moment.\n\nIf it holds, then everything fits together, and rearranging gives the same statement again. As we have arrived at what we started from, it must be true.'
			WHEN 'plugged' THEN E'There is no need to know where this comes from. Just plug the numbers in and read off the result.\n\nWhoever needs another case changes the numbers and does the same again.'
			ELSE CASE layout
				WHEN 'notes' THEN format(E'1. %s\n2. %s\n3. %s', steps[1], steps[2], steps[3])
				ELSE array_to_string(steps, E'\n\n') END
		END AS argument
	FROM form
), laid_out AS (
	SELECT *, CASE layout
			WHEN 'lesson' THEN format(E'# %s\n\n%s\n\n## Why it is so\n\n%s\n\n## An example\n\n%s', title, claim, argument, example)
			WHEN 'answer' THEN format(E'## Can somebody explain this? %s\n\nI keep meeting it in %s.\n\n### Answer\n\n%s\n\n%s\n\n%s', title, subject, claim, argument, example)
			WHEN 'notes' THEN format(E'# Lecture notes, %s\n\n**%s.** %s\n\n%s\n\n*Example.* %s', subject, title, claim, argument, example)
			ELSE format(E'# Exercise: %s\n\nShow: %s\n\n## Solution\n\n%s\n\n## Check\n\n%s', title, claim, argument, example)
		END AS page
	FROM argued
)
SELECT 10 * (number - 1) + form, format('https://stem.example/%s/%s-%s', replace(subject, ' ', '-'), number, form), title,
	CASE formatting
		WHEN 'renderer' THEN regexp_replace(page, '\$([^$]+)\$', '\1 {\\displaystyle \1}', 'g')
		WHEN 'navigation' THEN format(E'Skip to content | Home | Courses | Log in\nWe use cookies. Accept all cookies\n%s\nShare this page | 3 comments | You may also like\n%s',
			split_part(page, E'\n\n', 1), substr(page, strpos(page, E'\n\n')))
		WHEN 'one_line' THEN regexp_replace(replace(replace(page, '#', ''), '*', ''), '\s+', ' ', 'g')
		ELSE page
	END,
	formatting, reasoning, number > 16
FROM laid_out
ORDER BY number, form;
DROP TABLE stem_topic, stem_form;
ANALYZE stem_pages;
