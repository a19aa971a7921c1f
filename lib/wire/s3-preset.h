#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What is known of services that speak S3, so that a region, a bucket and a key are all that a user has to
 * give. Another service is one row more. */

#include "base/macros.h"

typedef struct S3Preset {
        const char *name;
        const char *endpoint; /* {region} and {account} stand for what the user gives; NULL: one is needed */
        const char *region;   /* where none is given; NULL: one must be */
        bool path_style;
        bool if_none_match; /* a put that must not replace is documented */
} S3Preset;

/* No name is "other"; gives NULL for one that nobody knows. */
const S3Preset *s3_preset_find(const char *name);
