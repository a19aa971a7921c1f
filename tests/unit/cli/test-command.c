/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"
#include "cli/command.h"
#include "cli/help.h"
#include "tests/test.h"

static int parse(const char *const *words, Arguments *ret, Failure *failure) {
        char *argv[16];
        const Command *c;
        int argc = 0, used;

        for (; words[argc]; argc++)
                argv[argc] = (char *) words[argc];
        c = command_find(argv, argc, &used);
        CHECK(c);
        /* The operands point into argv, which has to outlive them. */
        memmove((char **) words, argv + used, sizeof(char *) * (size_t) (argc - used));
        return arguments_parse(c, argc - used, (char **) words, ret, failure);
}

#define PARSE(ret, failure, ...) parse((const char *[16]){ __VA_ARGS__, NULL }, ret, failure)

static void test_find(void) {
        char *const list[] = { (char *) "tasks", (char *) "list" }, *const alone[] = { (char *) "login" };
        char *const noun[] = { (char *) "tasks" }, *const wrong[] = { (char *) "tasks", (char *) "fly" };
        int used = 0;

        CHECK(command_find(list, 2, &used));
        CHECK_INT(used, 2);
        CHECK(command_find(alone, 1, &used));
        CHECK_INT(used, 1);
        CHECK(!command_find(noun, 1, &used));
        CHECK(!command_find(wrong, 2, &used));
        CHECK(!command_find(list, 0, &used));
}

static void test_options(void) {
        _cleanup_(arguments_done) Arguments a = ARGUMENTS_NULL;

        CHECK_OK(PARSE(&a, NULL, "tasks", "create", "--path", "/etc", "etc", "-p/srv", "--exclude=*.tmp",
                       "--json"));
        CHECK_INT(a.n_operands, 1);
        CHECK_STR(arguments_operand(&a, 0), "etc");
        CHECK(!arguments_operand(&a, 1));
        CHECK_STR(arguments_value(&a, "path"), "/srv");
        CHECK_STR(arguments_value(&a, "exclude"), "*.tmp");
        CHECK(arguments_has(&a, "json"));
        CHECK(!arguments_has(&a, "quiet"));
        CHECK_INT(a.n_given, 4);
}

static void test_end_of_options(void) {
        _cleanup_(arguments_done) Arguments a = ARGUMENTS_NULL;

        CHECK_OK(PARSE(&a, NULL, "restores", "create", "12", "--to", "/tmp/x", "--", "-strange", "--json"));
        CHECK_INT(a.n_operands, 3);
        CHECK_STR(arguments_operand(&a, 1), "-strange");
        CHECK(!arguments_has(&a, "json"));
}

static void test_refusals(void) {
        static const char *const cases[][6] = {
                { "tasks", "show", NULL },                              /* an operand is missing */
                { "tasks", "show", "a", "b", NULL },                    /* one too many */
                { "tasks", "run", "a", "--fly", NULL },                 /* no such option */
                { "tasks", "run", "a", "--wait=yes", NULL },            /* a switch takes no value */
                { "tasks", "create", "a", "--path", NULL },             /* a value is missing */
                { "tasks", "create", "a", "--encryption=rot13", NULL }, /* not one of the choices */
                { "tasks", "create", "a", "--encryption=seal", NULL },  /* nor a part of one */
                { "tasks", "run", "a", "-wx", NULL },                   /* letters are not joined */
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(arguments_done) Arguments a = ARGUMENTS_NULL;
                _cleanup_(failure_done) Failure f = FAILURE_NULL;
                const char *words[16] = {};

                memcpy(words, cases[i], sizeof(cases[i]));
                CHECK_INT(parse(words, &a, &f), -EINVAL);
                CHECK_STR(f.code, "USAGE");
                CHECK(f.message && f.message[0]);
                CHECK_INT(a.n_given, 0);
        }
}

static void test_help_needs_no_operands(void) {
        _cleanup_(arguments_done) Arguments a = ARGUMENTS_NULL;

        CHECK_OK(PARSE(&a, NULL, "tasks", "show", "--help"));
        CHECK(arguments_has(&a, "help"));
}

/* What a machine can say about the table itself: no letter and no name stands for two options of one
 * command. */
static void test_table_is_sound(void) {
        size_t n, n_global;
        const Command *table = command_table(&n);
        const Option *global = command_global_options(&n_global);

        for (size_t i = 0; i < n; i++) {
                const Command *c = table + i;

                CHECK(c->run && c->summary);
                CHECK(c->n_options + n_global <= OPTIONS_MAX);
                for (size_t j = 0; j < c->n_options + n_global; j++) {
                        const Option *o = j < c->n_options ? c->options + j : global + (j - c->n_options);
                        bool value = o->kind != OPTION_SWITCH && o->kind != OPTION_NEGATED &&
                                        o->kind != OPTION_CLEARED && o->kind != OPTION_EMPTIED;

                        CHECK(value == (o->argument != NULL));
                        for (size_t k = 0; k < j; k++) {
                                const Option *p = k < c->n_options ? c->options + k :
                                                                     global + (k - c->n_options);

                                CHECK(!streq(o->name, p->name));
                                CHECK(!o->letter || o->letter != p->letter);
                        }
                }
        }
}

static void test_json_has_all(void) {
        _cleanup_json_ json_t *all = help_json();
        size_t n;

        (void) command_table(&n);
        CHECK(all);
        CHECK_INT(json_array_size(json_object_get(all, "commands")), n);
        CHECK_INT(json_array_size(json_object_get(all, "exit_statuses")), EXIT_RUN_PARTIAL + 1);
}

int main(void) {
        RUN(test_find);
        RUN(test_options);
        RUN(test_end_of_options);
        RUN(test_refusals);
        RUN(test_help_needs_no_operands);
        RUN(test_table_is_sound);
        RUN(test_json_has_all);
        return 0;
}
