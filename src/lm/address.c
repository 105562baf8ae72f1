/*-------------------------------------------------------------------------
 *
 * address.c
 *	  Which addresses an LM may not have without leave.
 *
 * Whoever may create a server must not be able to make the database talk to
 * its own network: loopback services, neighbours, the cloud's metadata
 * address.  The check is made on the address that is being connected to, so
 * a name that changes its mind after a look-up gains nothing.  Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "lm/lm_internal.h"

typedef struct Range4
{
	uint32		network;
	int			bits;
} Range4;

static const Range4 private4[] = {
	{0x00000000, 8},			/* this network */
	{0x0A000000, 8},			/* private */
	{0x64400000, 10},			/* carrier-grade NAT */
	{0x7F000000, 8},			/* loopback */
	{0xA83F8110, 32},			/* Azure's platform, 168.63.129.16 */
	{0xA9FE0000, 16},			/* link-local, cloud metadata */
	{0xAC100000, 12},			/* private */
	{0xC0000000, 24},			/* protocol assignments */
	{0xC0A80000, 16},			/* private */
	{0xC6120000, 15},			/* benchmarking */
	{0xE0000000, 3}				/* multicast, reserved, broadcast */
};

static bool
is_private4(uint32 address)
{
	for (int i = 0; i < lengthof(private4); i++)
		if ((address >> (32 - private4[i].bits)) ==
			(private4[i].network >> (32 - private4[i].bits)))
			return true;
	return false;
}

static uint32
get4(const uint8 *bytes)
{
	return ((uint32) bytes[0] << 24) | ((uint32) bytes[1] << 16) |
		((uint32) bytes[2] << 8) | bytes[3];
}

static bool
is_private6(const uint8 *a)
{
	static const uint8 zero[12] = {0};
	static const uint8 mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
	static const uint8 translated[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
	static const uint8 nat64[12] = {0, 0x64, 0xFF, 0x9B};
	static const uint8 local_nat64[6] = {0, 0x64, 0xFF, 0x9B, 0, 1};

	if (memcmp(a, zero, 12) == 0)	/* ::, ::1, IPv4-compatible */
		return get4(a + 12) <= 1 || is_private4(get4(a + 12));
	if (memcmp(a, mapped, 12) == 0 || memcmp(a, translated, 12) == 0 || memcmp(a, nat64, 12) == 0)
		return is_private4(get4(a + 12));
	if (memcmp(a, local_nat64, 6) == 0) /* hides IPv4 where the network likes */
		return true;
	if (a[0] == 0x20 && a[1] == 0x02)	/* 6to4 */
		return is_private4(get4(a + 2));
	return (a[0] & 0xFE) == 0xFC || /* unique-local */
		(a[0] == 0xFE && (a[1] & 0x80) == 0x80) ||	/* link-, site-local */
		a[0] == 0xFF;			/* multicast */
}

bool
gepa_lm_address_is_private(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET)
		return is_private4(ntohl(((const struct sockaddr_in *) address)->sin_addr.s_addr));
	if (address->sa_family == AF_INET6)
		return is_private6(((const struct sockaddr_in6 *) address)->sin6_addr.s6_addr);
	return true;				/* nothing else is a way to the Internet */
}
