/* SPDX-License-Identifier: Apache-2.0 */

#include "base/alloc.h"
#include "base/encode.h"
#include "tests/test.h"

static void test_hex(void) {
        uint8_t bytes[3] = { 0x00, 0x9a, 0xff }, back[3] = {};
        char text[7];

        CHECK_STR(hex_encode(bytes, 3, text), "009aff");
        CHECK_OK(hex_decode("009AfF", back, 3));
        CHECK_MEM(back, bytes, 3);
        CHECK_STR(hex_encode(NULL, 0, text), "");
        CHECK_OK(hex_decode("", back, 0));
        CHECK_INT(hex_decode("009af", back, 3), -EINVAL);
        CHECK_INT(hex_decode("009aff0", back, 3), -EINVAL);
        CHECK_INT(hex_decode("009afg", back, 3), -EINVAL);
        CHECK_INT(hex_decode("0x9aff", back, 3), -EINVAL);
        CHECK_INT(hex_decode("", back, 1), -EINVAL);
}

/* RFC 4648, section 10, and what differs between the alphabets. */
static void test_base64(void) {
        static const struct {
                const char *plain, *standard, *raw;
        } cases[] = {
                { "", "", "" },
                { "f", "Zg==", "Zg" },
                { "fo", "Zm8=", "Zm8" },
                { "foo", "Zm9v", "Zm9v" },
                { "foob", "Zm9vYg==", "Zm9vYg" },
                { "fooba", "Zm9vYmE=", "Zm9vYmE" },
                { "foobar", "Zm9vYmFy", "Zm9vYmFy" },
                { "\xfb\xff", "+/8=", "+/8" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                size_t n = strlen(cases[i].plain), got;
                _cleanup_(freep) char *standard = NULL, *raw = NULL;
                _cleanup_(freep) void *back = NULL;

                CHECK_OK(base64_encode(BASE64_STANDARD, cases[i].plain, n, &standard));
                CHECK_STR(standard, cases[i].standard);
                CHECK_OK(base64_encode(BASE64_RAW, cases[i].plain, n, &raw));
                CHECK_STR(raw, cases[i].raw);
                CHECK_OK(base64_decode(BASE64_STANDARD, standard, strlen(standard), &back, &got));
                CHECK_INT(got, n);
                CHECK_MEM(back, cases[i].plain, n + 1);
        }
}

static void test_base64_url(void) {
        _cleanup_(freep) char *text = NULL;
        _cleanup_(freep) void *back = NULL;
        size_t n;

        CHECK_OK(base64_encode(BASE64_URL, "\xfb\xff", 2, &text));
        CHECK_STR(text, "-_8");
        CHECK_OK(base64_decode(BASE64_URL, "-_8", 3, &back, &n));
        CHECK_MEM(back, "\xfb\xff", 2);
}

static void test_base64_refuses(void) {
        static const struct {
                Base64 alphabet;
                const char *text;
        } cases[] = {
                { BASE64_STANDARD, "Zg" },       /* no padding */
                { BASE64_STANDARD, "Zg=" },      /* half of it */
                { BASE64_STANDARD, "Zg===" },    /* too much */
                { BASE64_STANDARD, "Z===" },     /* a single digit */
                { BASE64_STANDARD, "====" },     /* nothing else */
                { BASE64_STANDARD, "Zh==" },     /* bits that say nothing */
                { BASE64_STANDARD, "Zm9=" },     /* likewise */
                { BASE64_STANDARD, "Zg==Zg==" }, /* padding within */
                { BASE64_STANDARD, "Zm9v\n" },
                { BASE64_STANDARD, " Zm9v" },
                { BASE64_STANDARD, "-_8=" },
                { BASE64_RAW, "Zg==" },
                { BASE64_RAW, "Z" },
                { BASE64_RAW, "Zh" },
                { BASE64_RAW, "-_8" },
                { BASE64_URL, "+/8" },
                { BASE64_URL, "-_8=" },
                { BASE64_URL, "Zm9v\xff" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                void *bytes = NULL;
                size_t n;

                if (base64_decode(cases[i].alphabet, cases[i].text, strlen(cases[i].text), &bytes, &n) !=
                    -EINVAL)
                        TEST_FAIL("'%s' was taken", cases[i].text);
                CHECK(!bytes);
        }
        {
                void *bytes = NULL;
                size_t n;

                CHECK_INT(base64_decode(BASE64_RAW, "Zm\0v", 4, &bytes, &n),
                          -EINVAL); /* a NUL is no digit */
        }
}

int main(void) {
        RUN(test_hex);
        RUN(test_base64);
        RUN(test_base64_url);
        RUN(test_base64_refuses);
        return EXIT_SUCCESS;
}
