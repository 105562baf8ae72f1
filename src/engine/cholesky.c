/*-------------------------------------------------------------------------
 *
 * cholesky.c
 *	  Symmetric positive definite matrices of some hundred rows.
 *
 * Row by row, so that every inner loop runs over memory in order: 700 rows take
 * well under a tenth of a second.  The order of additions is fixed by the
 * dimension alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <math.h>

#include "engine/engine_policy.h"

/* What rounding leaves of a pivot may be nothing or less. */
#define LEAST_PIVOT 1e-12

/* In four sums, which need not wait for each other. */
static double
dot(const double *a, const double *b, int n)
{
	double		sums[4] = {0.0, 0.0, 0.0, 0.0};
	int			i = 0;

	for (; i + 4 <= n; i += 4)
	{
		sums[0] += a[i] * b[i];
		sums[1] += a[i + 1] * b[i + 1];
		sums[2] += a[i + 2] * b[i + 2];
		sums[3] += a[i + 3] * b[i + 3];
	}
	for (; i < n; i++)
		sums[0] += a[i] * b[i];
	return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

void
gepa_engine_cholesky(double *a, int n)
{
	for (int i = 0; i < n; i++)
	{
		double	   *row = a + ENGINE_TRIANGLE(i);

		for (int j = 0; j < i; j++)
		{
			const double *other = a + ENGINE_TRIANGLE(j);

			row[j] = (row[j] - dot(row, other, j)) / other[j];
		}
		row[i] = sqrt(Max(row[i] - dot(row, row, i), LEAST_PIVOT));
	}
}

void
gepa_engine_cholesky_forward(const double *factor, int n, double *b)
{
	for (int i = 0; i < n; i++)
	{
		const double *row = factor + ENGINE_TRIANGLE(i);

		b[i] = row[i] > 0.0 ? (b[i] - dot(row, b, i)) / row[i] : 0.0;
	}
}

void
gepa_engine_cholesky_backward(const double *factor, int n, double *b)
{
	for (int i = n - 1; i >= 0; i--)
	{
		const double *row = factor + ENGINE_TRIANGLE(i);

		b[i] = row[i] > 0.0 ? b[i] / row[i] : 0.0;
		for (int j = 0; j < i; j++)
			b[j] -= row[j] * b[i];
	}
}
