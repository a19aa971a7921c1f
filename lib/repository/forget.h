#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Which snapshots a policy keeps: restic's rules, as a function of the snapshots' times alone. Each rule
 * keeps the newest snapshot of each of the last n hours, days, ISO weeks, months or years that have one;
 * "within" keeps those that are younger than a span, counted from the newest. A time belongs to the hour and
 * day of the clock that wrote it. */

#include "base/failure.h"
#include "repository/moment.h"

typedef enum ForgetRule {
        FORGET_LAST,
        FORGET_HOURLY,
        FORGET_DAILY,
        FORGET_WEEKLY,
        FORGET_MONTHLY,
        FORGET_YEARLY,
        _FORGET_RULE_MAX,
        _FORGET_RULE_INVALID = -22, /* -EINVAL */
} ForgetRule;

/* "last", "hourly", "daily", "weekly", "monthly", "yearly". */
DECLARE_STRING_TABLE(forget_rule, ForgetRule);

#define FORGET_NUMBER_MAX 100000

/* Calendar units: a month before October 31st is October 1st, as September has no 31st. */
typedef struct ForgetSpan {
        uint32_t years, months, days, hours;
} ForgetSpan;

typedef struct ForgetPolicy {
        uint32_t keep[_FORGET_RULE_MAX];
        /* Of [FORGET_LAST]: all; of others: one of each hour, day, … in that span. Zero: no such rule. */
        ForgetSpan within[_FORGET_RULE_MAX];
} ForgetPolicy;

#define FORGET_POLICY_NULL ((ForgetPolicy){})

/* "2y5m7d3h": each unit at most once, in this order, numbers to FORGET_NUMBER_MAX. -EINVAL with
 * SPAN_INVALID. */
int forget_span_parse(const char *s, ForgetSpan *ret, Failure *reterr_failure) _warn_unused_;
/* Whether it has any rule. What an empty one keeps is everything. */
bool forget_policy_is_empty(const ForgetPolicy *p);

/* Why a snapshot is kept, bits; 0: it is not. Those of rules are 1 << rule, those of spans 1 << (rule +
 * _FORGET_RULE_MAX). */
typedef uint32_t ForgetReasons;
#define FORGET_BECAUSE_NO_POLICY (UINT32_C(1) << 2 * _FORGET_RULE_MAX)
#define FORGET_BECAUSE_TAG (FORGET_BECAUSE_NO_POLICY << 1)  /* one that is always kept */
#define FORGET_BECAUSE_LAST (FORGET_BECAUSE_NO_POLICY << 2) /* the rules would keep none of its group */

/* times: newest first. Sets ret_reasons for each. Those later than now do not count as the newest. */
void forget_apply(const ForgetPolicy *p, const Moment *times, size_t n, const Moment *now,
                  ForgetReasons *ret_reasons);
