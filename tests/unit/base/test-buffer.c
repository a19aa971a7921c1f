/* SPDX-License-Identifier: Apache-2.0 */

#include "base/buffer.h"
#include "tests/test.h"

static void test_adding(void) {
        _cleanup_buffer_ Buffer b = BUFFER_NULL;

        CHECK(!b.data);
        CHECK_OK(buffer_add(&b, "abc", 3));
        CHECK_OK(buffer_add_string(&b, "def"));
        CHECK_OK(buffer_printf(&b, "%d-%s", 17, "x"));
        CHECK_STR(b.data, "abcdef17-x");
        CHECK_INT(b.size, 10);
        CHECK_OK(buffer_add(&b, NULL, 0));
        buffer_consume(&b, 3);
        CHECK_STR(b.data, "def17-x");
        buffer_consume(&b, 0);
        buffer_consume(&b, b.size);
        CHECK_STR(b.data, "");
        buffer_consume(&b, 0);
        CHECK_OK(buffer_add(&b, "a\0b", 3));
        CHECK_INT(b.size, 3);
        CHECK_MEM(b.data, "a\0b\0", 4);
        buffer_clear(&b);
        CHECK_INT(b.size, 0);
        CHECK_STR(b.data, "");
}

static void test_growing(void) {
        _cleanup_buffer_ Buffer b = BUFFER_NULL;

        for (int i = 0; i < 100000; i++)
                CHECK_OK(buffer_add(&b, (char[]){ (char) ('a' + i % 26) }, 1));
        CHECK_INT(b.size, 100000);
        CHECK_INT(strlen(b.data), 100000);
        for (int i = 0; i < 100000; i++)
                CHECK_INT(b.data[i], 'a' + i % 26);
}

static void test_limit(void) {
        _cleanup_buffer_ Buffer b = BUFFER_LIMITED(10);

        CHECK_OK(buffer_add_string(&b, "0123456789"));
        CHECK_INT(buffer_add(&b, "x", 1), -EFBIG);
        CHECK_INT(buffer_printf(&b, "%d", 1), -EFBIG);
        CHECK_STR(b.data, "0123456789");
        buffer_consume(&b, 1);
        CHECK_OK(buffer_add(&b, "x", 1));
        CHECK_INT(buffer_reserve(&b, SIZE_MAX), -ENOMEM);
        CHECK_STR(b.data, "123456789x");
        buffer_done(&b);
        CHECK_INT(b.limit, 10); /* a buffer keeps its limit */
}

static void test_fill(void) {
        _cleanup_buffer_ Buffer b = BUFFER_NULL;
        char bytes[100];
        const char *p = bytes;
        size_t n = sizeof(bytes);

        for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = (char) i;
        CHECK_INT(buffer_fill(&b, 64, 0, &p, &n), 1);
        CHECK_INT(b.size, 64);
        CHECK_MEM(b.data, bytes, 64);
        CHECK(p == bytes + 64);
        CHECK_INT(n, 36);
        buffer_clear(&b);
        CHECK_INT(buffer_fill(&b, 64, 0, &p, &n), 0);
        CHECK_INT(n, 0);
        CHECK_MEM(b.data, bytes + 64, 36);
        CHECK_INT(buffer_fill(&b, 64, 0, &p, &n), 0);
        p = bytes;
        n = 28;
        CHECK_INT(buffer_fill(&b, 64, 0, &p, &n), 1);
        CHECK_MEM(b.data + 36, bytes, 28);
        b.limit = 64;
        n = 100;
        CHECK_INT(buffer_fill(&b, 65, 0, &p, &n), -EFBIG);
        CHECK_INT(n, 100);
}

static void test_take(void) {
        _cleanup_buffer_ Buffer b = BUFFER_NULL;
        char *p;

        p = buffer_take(&b);
        CHECK_STR(p, "");
        free(p);
        CHECK_OK(buffer_add_string(&b, "text"));
        p = buffer_take(&b);
        CHECK_STR(p, "text");
        CHECK(!b.data);
        CHECK_INT(b.size, 0);
        free(p);
        CHECK_OK(buffer_add_string(&b, "again"));
        CHECK_STR(b.data, "again");
}

int main(void) {
        RUN(test_adding);
        RUN(test_growing);
        RUN(test_limit);
        RUN(test_fill);
        RUN(test_take);
        return EXIT_SUCCESS;
}
