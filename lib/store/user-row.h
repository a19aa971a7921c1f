#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Inside of lib/store alone: users as other entities join them. */

#include "store/db.h"
#include "store/user.h"

extern const RowType user_type;
