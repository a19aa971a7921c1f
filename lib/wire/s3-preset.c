/* SPDX-License-Identifier: Apache-2.0 */

#include "base/text.h"
#include "wire/s3-preset.h"

static const S3Preset presets[] = {
        { "aws", "https://s3.{region}.amazonaws.com", NULL, false, true },
        { "aws-cn", "https://s3.{region}.amazonaws.com.cn", NULL, false, true },
        { "minio", NULL, "us-east-1", true, true },
        { "ceph", NULL, "us-east-1", true, true },
        { "oss", "https://s3.oss-{region}.aliyuncs.com", NULL, false, false },
        { "cos", "https://cos.{region}.myqcloud.com", NULL, false, false },
        { "kodo", "https://s3.{region}.qiniucs.com", NULL, false, false },
        { "wasabi", "https://s3.{region}.wasabisys.com", NULL, false, false },
        { "b2", "https://s3.{region}.backblazeb2.com", NULL, false, false },
        { "r2", "https://{account}.r2.cloudflarestorage.com", "auto", true, true },
        { "gcs", "https://storage.googleapis.com", "auto", true, false },
        { "other", NULL, "us-east-1", true, false },
};

const S3Preset *s3_preset_find(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(presets); i++)
                if (streq(presets[i].name, name ? name : "other"))
                        return &presets[i];
        return NULL;
}
