/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "crypto/bech32.h"

static const char digits[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/* 32 bytes are 51.2 digits of five bits. */
#define BECH32_DIGITS 52
#define BECH32_CHECKSUM 6
#define BECH32_PREFIX_MAX 16

static uint32_t polymod_step(uint32_t checksum, uint8_t value) {
        static const uint32_t generator[] = { 0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3 };
        uint32_t top = checksum >> 25;

        checksum = (checksum & 0x1ffffff) << 5 ^ value;
        for (size_t i = 0; i < ELEMENTSOF(generator); i++)
                if (top >> i & 1)
                        checksum ^= generator[i];
        return checksum;
}

static bool is_upper(char c) {
        return c >= 'A' && c <= 'Z';
}

static char to_lower(char c) {
        return is_upper(c) ? (char) (c - 'A' + 'a') : c;
}

/* The checksum is over the lower-case form. */
static uint32_t polymod_prefix(const char *prefix) {
        uint32_t checksum = 1;

        for (const char *p = prefix; *p; p++)
                checksum = polymod_step(checksum, (uint8_t) to_lower(*p) >> 5);
        checksum = polymod_step(checksum, 0);
        for (const char *p = prefix; *p; p++)
                checksum = polymod_step(checksum, (uint8_t) to_lower(*p) & 31);
        return checksum;
}

static bool prefix_is_upper(const char *prefix) {
        for (const char *p = prefix; *p; p++)
                if (is_upper(*p))
                        return true;
        return false;
}

static char digit(uint8_t value, bool upper) {
        char c = digits[value];

        return upper && c >= 'a' && c <= 'z' ? (char) (c - 'a' + 'A') : c;
}

void bech32_encode(const char *prefix, const uint8_t bytes[static BECH32_BYTES], char *buf) {
        bool upper;
        uint32_t checksum, bits = 0;
        size_t next = 0;
        int n = 0;
        char *p;

        assert(prefix);
        assert(buf);

        upper = prefix_is_upper(prefix);
        checksum = polymod_prefix(prefix);
        p = stpcpy(buf, prefix);
        *p++ = '1';
        for (size_t i = 0; i < BECH32_DIGITS; i++) {
                uint8_t value;

                if (n < 5) {
                        bits = bits << 8 | (next < BECH32_BYTES ? bytes[next] : 0);
                        next++;
                        n += 8;
                }
                n -= 5;
                value = (uint8_t) (bits >> n & 31);
                checksum = polymod_step(checksum, value);
                *p++ = digit(value, upper);
        }
        for (size_t i = 0; i < BECH32_CHECKSUM; i++)
                checksum = polymod_step(checksum, 0);
        checksum ^= 1;
        for (size_t i = 0; i < BECH32_CHECKSUM; i++)
                *p++ = digit((uint8_t) (checksum >> 5 * (BECH32_CHECKSUM - 1 - i) & 31), upper);
        *p = 0;
}

/* One digit in the given case; the strings of age are in one case as a whole. */
static int digit_value(char c, bool upper) {
        const char *at;

        if (c == 0 || (upper ? c >= 'a' && c <= 'z' : is_upper(c)))
                return -EINVAL;
        at = strchr(digits, to_lower(c));
        return at ? (int) (at - digits) : -EINVAL;
}

int bech32_decode(const char *prefix, const char *s, uint8_t ret[static BECH32_BYTES]) {
        uint8_t bytes[BECH32_BYTES + 1] = {};
        CLEANUP_ERASE(bytes);
        size_t prefix_length, k = 0;
        uint32_t checksum, bits = 0;
        bool upper;
        int n = 0;

        assert(prefix);
        assert(s);

        prefix_length = strlen(prefix);
        assert(prefix_length <= BECH32_PREFIX_MAX);
        if (strnlen(s, prefix_length + 2 + BECH32_DIGITS + BECH32_CHECKSUM) !=
                            prefix_length + 1 + BECH32_DIGITS + BECH32_CHECKSUM ||
            strncmp(s, prefix, prefix_length) != 0 || s[prefix_length] != '1')
                return -EINVAL;

        upper = prefix_is_upper(prefix);
        checksum = polymod_prefix(prefix);
        s += prefix_length + 1;
        for (size_t i = 0; i < BECH32_DIGITS + BECH32_CHECKSUM; i++) {
                int value = digit_value(s[i], upper);

                if (value < 0)
                        return value;
                checksum = polymod_step(checksum, (uint8_t) value);
                if (i >= BECH32_DIGITS)
                        continue;
                bits = bits << 5 | (uint32_t) value;
                n += 5;
                if (n >= 8) {
                        n -= 8;
                        bytes[k++] = (uint8_t) (bits >> n);
                }
        }
        /* The four bits behind the last byte are zero in the one right text. */
        if (checksum != 1 || (bits & ((1U << n) - 1)) != 0)
                return -EINVAL;
        memcpy(ret, bytes, BECH32_BYTES);
        return 0;
}
