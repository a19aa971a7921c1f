/* SPDX-License-Identifier: Apache-2.0 */

#include <stdio.h>
#include <unistd.h>

#include "agent/backint/options.h"
#include "base/parse.h"
#include "base/text.h"

static const char usage[] =
                "backupx backint -f FUNCTION -u USER -p FILE [-i FILE] [-o FILE] [-c COUNT] [-l LEVEL]\n"
                "\n"
                "Backs up pieces of SAP HANA to a storage, and gives them back: the interface Backint.\n"
                "SAP HANA calls this program itself, as hdbbackint.\n"
                "\n"
                "  -f FUNCTION  backup, restore, inquire or delete\n"
                "  -u USER      whose pieces: HDB, or TENANT@HDB\n"
                "  -p FILE      the parameter file\n"
                "  -i FILE      what is asked for; standard input by default\n"
                "  -o FILE      what is answered; standard output by default\n"
                "  -c COUNT     pieces of the whole backup\n"
                "  -l LEVEL     COMPLETE, INCREMENTAL, DIFFERENTIAL or LOG\n"
                "  -s ID        of the backup in the database; has no meaning here\n"
                "  -v, -V       print the version of the interface and of this program\n"
                "\n"
                "Exit status: 0 all is answered, 1 with an error among the answers, 2 nothing was done.\n"
                "See backupx-backint(8).\n";

static int refuse(const char *why, int *ret_exit) {
        fprintf(stderr, "backupx backint: %s\n", why);
        *ret_exit = BACKINT_EXIT_FAILED;
        return 0;
}

static int check(const BackintOptions *o, int *ret_exit) {
        if (o->function < 0)
                return refuse("-f has to be backup, restore, inquire or delete: see -h", ret_exit);
        if (isempty(o->user))
                return refuse("-u says whose pieces it is about, and is needed", ret_exit);
        if (isempty(o->parameters))
                return refuse("-p names the parameter file, and is needed: in global.ini of SAP HANA it is "
                              "data_backup_parameter_file, log_backup_parameter_file and "
                              "catalog_backup_parameter_file",
                              ret_exit);
        return 1;
}

int backint_options_parse(int argc, char *argv[], BackintOptions *ret, int *ret_exit) {
        BackintOptions o = { .function = _BACKINT_FUNCTION_INVALID };
        int option;

        assert(ret);
        assert(ret_exit);

        while ((option = getopt(argc, argv, "f:u:p:i:o:c:l:s:vVh")) != -1)
                switch (option) {
                case 'f':
                        o.function = backint_function_from_string(optarg);
                        break;
                case 'u':
                        o.user = optarg;
                        break;
                case 'p':
                        o.parameters = optarg;
                        break;
                case 'i':
                        o.input = optarg;
                        break;
                case 'o':
                        o.output = optarg;
                        break;
                case 'c':
                        if (parse_u64(optarg, 0, UINT64_MAX, &o.count) < 0)
                                return refuse("-c is no number", ret_exit);
                        break;
                case 'l':
                        o.level = optarg;
                        break;
                case 's':
                        break;
                case 'v':
                case 'V':
                        puts("\"backint 1.50\" \"backupx " BACKUPX_VERSION "\"");
                        *ret_exit = BACKINT_EXIT_DONE;
                        return 0;
                case 'h':
                        fputs(usage, stdout);
                        *ret_exit = BACKINT_EXIT_DONE;
                        return 0;
                default:
                        *ret_exit = BACKINT_EXIT_FAILED; /* getopt() told why */
                        return 0;
                }
        if (optind < argc)
                return refuse("there is a word too many: see -h", ret_exit);
        *ret = o;
        return check(&o, ret_exit);
}
