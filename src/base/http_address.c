/* SPDX-License-Identifier: Apache-2.0
 *
 * Which addresses are not of the public internet: IANA's registries of special-purpose addresses (RFC 6890 and what
 * followed), multicast, and what carries an IPv4 address within. Where in doubt an address is private: no photo is lost
 * by that, for nobody serves any from there. */
#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "base/http_inside.h"

typedef struct { uint32_t net; int bits; } range4;
typedef struct { uint8_t net[16]; int bits; } range6;

#define NET(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

static const range4 private4[] = {
    { NET(0, 0, 0, 0), 8 },          /* this network */
    { NET(10, 0, 0, 0), 8 },
    { NET(100, 64, 0, 0), 10 },      /* shared by the customers of a provider */
    { NET(127, 0, 0, 0), 8 },        /* loopback */
    { NET(168, 63, 129, 16), 32 },   /* of the public range, but answers inside Azure only */
    { NET(169, 254, 0, 0), 16 },     /* link-local: the clouds' metadata too */
    { NET(172, 16, 0, 0), 12 },
    { NET(192, 0, 0, 0), 24 },       /* protocol assignments */
    { NET(192, 0, 2, 0), 24 },       /* documentation */
    { NET(192, 88, 99, 0), 24 },     /* 6to4 relays, once */
    { NET(192, 168, 0, 0), 16 },
    { NET(198, 18, 0, 0), 15 },      /* benchmarks */
    { NET(198, 51, 100, 0), 24 },    /* documentation */
    { NET(203, 0, 113, 0), 24 },     /* documentation */
    { NET(224, 0, 0, 0), 4 },        /* multicast */
    { NET(240, 0, 0, 0), 4 },        /* reserved, broadcast */
};

/* Within 2000::/3, the only part that is given out to the public. */
static const range6 private6[] = {
    { { 0x20, 0x01, 0, 0 }, 23 },          /* protocol assignments: Teredo, ORCHID, benchmarks */
    { { 0x20, 0x01, 0x0d, 0xb8 }, 32 },    /* documentation */
    { { 0x3f, 0xff, 0 }, 20 },             /* documentation */
};

static bool private_ipv4(const uint8_t *b) {
    uint32_t address = NET(b[0], b[1], b[2], b[3]);
    for (size_t i = 0; i < sizeof private4 / sizeof *private4; i++)
        if ((address ^ private4[i].net) >> (32 - private4[i].bits) == 0) return true;
    return false;
}

static bool begins_with(const uint8_t *address, const uint8_t *net, int bits) {
    int whole = bits / 8, rest = bits % 8;
    return memcmp(address, net, (size_t)whole) == 0 && (rest == 0 || (address[whole] ^ net[whole]) >> (8 - rest) == 0);
}

static bool private_ipv6(const uint8_t *b) {
    static const uint8_t mapped[12] = { [10] = 0xff, 0xff }, nat64[12] = { 0, 0x64, 0xff, 0x9b };
    if (memcmp(b, mapped, 12) == 0 || memcmp(b, nat64, 12) == 0) return private_ipv4(b + 12);
    if (b[0] == 0x20 && b[1] == 0x02) return private_ipv4(b + 2);   /* 6to4 */
    if (b[0] >> 5 != 1) return true;   /* ::, ::1, unique local, link-local, multicast, 64:ff9b:1::/48, discard, ... */
    for (size_t i = 0; i < sizeof private6 / sizeof *private6; i++)
        if (begins_with(b, private6[i].net, private6[i].bits)) return true;
    return false;
}

bool http_address_private(const uint8_t *bytes, size_t size) {
    return size == 4 ? private_ipv4(bytes) : size == 16 ? private_ipv6(bytes) : true;
}

bool http_host_private(const char *host) {
    struct in6_addr six;
    struct in_addr four;
    if (inet_pton(AF_INET, host, &four) == 1) return http_address_private((const uint8_t *)&four, sizeof four);
    if (inet_pton(AF_INET6, host, &six) == 1) return http_address_private((const uint8_t *)&six, sizeof six);
    size_t size = strlen(host);
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)host[i] >= 0x80) return true;
    return strcasecmp(host, "localhost") == 0 || (size > 10 && strcasecmp(host + size - 10, ".localhost") == 0);
}
