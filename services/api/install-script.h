#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The installer's text, packaging/install/agent-install.sh, which is the same for all nodes; and the same
 * packed by gzip. Written by packaging/install/embed.py. */

#include "base/macros.h"

extern const unsigned char install_script[];
extern const size_t install_script_size;
extern const unsigned char install_script_gzip[];
extern const size_t install_script_gzip_size;
