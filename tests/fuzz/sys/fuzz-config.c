/* SPDX-License-Identifier: Apache-2.0 */

/* A configuration file of somebody else's making. */

#include "base/alloc.h"
#include "base/text.h"
#include "base/times.h"
#include "sys/config.h"
#include "tests/test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Sample {
        char *string;
        char **list;
        char **paths;
        char *path;
        bool on;
        uint32_t count;
        uint64_t size;
        usec_t span;
        int level;
} Sample;

static const ConfigItem items[] = {
        { "server", "listen", config_parse_string, offsetof(Sample, string) },
        { "server", "list", config_parse_strv, offsetof(Sample, list) },
        { "relay", "directories", config_parse_paths, offsetof(Sample, paths) },
        { NULL, "path", config_parse_path, offsetof(Sample, path) },
        { NULL, "on", config_parse_boolean, offsetof(Sample, on) },
        { NULL, "count", config_parse_u32, offsetof(Sample, count) },
        { NULL, "size", config_parse_size, offsetof(Sample, size) },
        { NULL, "span", config_parse_span, offsetof(Sample, span) },
        { "log", "level", config_parse_log_level, offsetof(Sample, level) },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        Sample sample = {};
        const ConfigArgs args = { .items = items, .n_items = ELEMENTSOF(items), .target = &sample };

        if (config_parse(&args, "fuzz.yaml", (const char *) data, size, &failure) < 0)
                CHECK(failure_is_set(&failure) && startswith(failure.message, "fuzz.yaml:"));
        free(sample.string);
        strv_free(sample.list);
        strv_free(sample.paths);
        free(sample.path);
        return 0;
}
