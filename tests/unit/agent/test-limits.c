/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/daemon/limits.h"
#include "base/fd.h"
#include "base/file.h"
#include "tests/test.h"

static int parse(const char *text, AgentLimits *ret) {
        _cleanup_json_ json_t *json = NULL;

        CHECK_INT(json_parse_text(text, &json, NULL), 0);
        return agent_limits_parse(json, ret);
}

static void test_parse(void) {
        static const char *const bad[] = {
                "{\"jobs\":\"2\"}",
                "{\"jobs\":-1}",
                "{\"bandwidth\":1.5}",
                "{\"cpu_weight\":10001}",
                "{\"io_weight\":[]}",
        };
        AgentLimits l = { .jobs = 7 };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                CHECK_INT(parse(bad[i], &l), -EBADMSG);
        CHECK_INT(l.jobs, 7);
        CHECK_INT(parse("{\"jobs\":2,\"bandwidth\":1048576,\"cpu_weight\":50,\"io_weight\":10,"
                        "\"x\":1}",
                        &l),
                  0);
        CHECK(agent_limits_equal(&l, &(const AgentLimits){ 2, 1048576, 50, 10 }));
        CHECK_INT(parse("{\"jobs\":null,\"bandwidth\":5}", &l), 0);
        CHECK(agent_limits_equal(&l, &(const AgentLimits){ 0, 5, 0, 0 }));
}

static void test_share(void) {
        const AgentLimits none = AGENT_LIMITS_NULL, some = { .bandwidth = 1000 };

        CHECK_INT(agent_limits_share(&none, 3), 0);
        CHECK_INT(agent_limits_share(&some, 0), 1000);
        CHECK_INT(agent_limits_share(&some, 1), 1000);
        CHECK_INT(agent_limits_share(&some, 3), 333);
        /* Never none at all. */
        CHECK_INT(agent_limits_share(&some, 5000), 1);
}

static void test_keep(void) {
        const AgentLimits kept = { 3, UINT64_C(1) << 40, 100, 1 };
        char folder[] = "/tmp/test-limits-XXXXXX";
        _cleanup_close_ int fd = -EBADF;
        AgentLimits l = { .jobs = 9 };

        CHECK(mkdtemp(folder));
        fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        CHECK(fd >= 0);
        agent_limits_load(fd, &l);
        CHECK_INT(l.jobs, 0);
        CHECK_INT(agent_limits_save(fd, &kept), 0);
        agent_limits_load(fd, &l);
        CHECK(agent_limits_equal(&l, &kept));
        CHECK_INT(write_file_atomic(fd, "limits", "{\"jobs\":", 8, 0600), 0);
        agent_limits_load(fd, &l);
        CHECK_INT(l.jobs, 0);
        CHECK(unlinkat(fd, "limits", 0) == 0);
        CHECK(rmdir(folder) == 0);
}

int main(void) {
        RUN(test_parse);
        RUN(test_share);
        RUN(test_keep);
        return 0;
}
