/* SPDX-License-Identifier: Apache-2.0 */

/* The first byte says what kind of frame the rest is. */

#include <stdlib.h>

#include "archive/entries.h"
#include "base/alloc.h"
#include "base/text.h"
#include "tests/test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int check_entry(void *userdata, const char *directory, Entry *e) {
        const char *path = e->member.path;

        CHECK(path);
        CHECK(!directory || isempty(directory) || startswith(path, directory));
        CHECK(!endswith(path, "/.."));
        CHECK(e->member.mode <= 07777);
        CHECK(e->offset + e->length >= e->offset);
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        EntriesFrame table = { .kind = ENTRIES_TABLE, .data_offset = 1000, .data_plain_offset = 2000 };
        _cleanup_(freep) uint64_t *numbers = NULL;
        _cleanup_(freep) Frame *frames = NULL;
        size_t n = 0;

        if (size == 0)
                return 0;
        switch (data[0]) {
        case 'i':
                if (entries_parse_index(data + 1, size - 1, "srv/data", &numbers, &n) > 0)
                        for (size_t i = 1; i < n; i++)
                                CHECK(numbers[i - 1] < numbers[i]);
                break;
        case 't':
                if (entries_parse_table(data + 1, size - 1, &table, &frames, &n) >= 0)
                        for (size_t i = 0; i < n; i++)
                                CHECK(frames[i].size > 0 && frames[i].plain_offset >= 2000);
                break;
        default:
                if (entries_parse_list(data + 1, size - 1, data[0] == 'o' ? "srv/data" : NULL, check_entry,
                                       NULL) > 0)
                        TEST_FAIL("nobody stopped it");
        }
        return 0;
}
