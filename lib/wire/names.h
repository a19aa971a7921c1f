#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Names that people and other programs see, each in one place. */

/* The version of the agent protocol. */
#define BACKUPX_PROTOCOL 1

/* --- D-Bus ----------------------------------------------------------------------------------------- */

#define BUS_API_NAME "org.backupx.Api1"
#define BUS_API_PATH "/org/backupx/Api1"
#define BUS_API_INTERFACE "org.backupx.Api1"

#define BUS_SCHEDULER_NAME "org.backupx.Scheduler1"
#define BUS_SCHEDULER_PATH "/org/backupx/Scheduler1"
#define BUS_SCHEDULER_INTERFACE "org.backupx.Scheduler1"
#define BUS_SCHEDULER_INTERNAL "org.backupx.Internal.Scheduler1"

#define BUS_DISPATCHER_NAME "org.backupx.Dispatcher1"
#define BUS_DISPATCHER_PATH "/org/backupx/Dispatcher1"
#define BUS_DISPATCHER_INTERFACE "org.backupx.Dispatcher1"
#define BUS_DISPATCHER_INTERNAL "org.backupx.Internal.Dispatcher1"

#define BUS_AGENT_NAME "org.backupx.Agent1"
#define BUS_AGENT_PATH "/org/backupx/Agent1"
#define BUS_AGENT_INTERFACE "org.backupx.Agent1"

/* --- Files ----------------------------------------------------------------------------------------- */

/* In the state directory of the master. */
#define FILE_DATABASE "backupx.db"
#define FILE_DISPATCHER_KEY "dispatcher.pub"
#define FILE_LOCAL_NODE "local-node.sha256"
#define FILE_RELAY "relay"
#define FILE_TLS_CERTIFICATE "tls.crt"

#define CREDENTIAL_DISPATCHER "dispatcher-identity"
#define CREDENTIAL_SESSION "session-key"
#define CREDENTIAL_TLS_KEY "tls-key"
#define CREDENTIAL_AGENT_TOKEN "agent-token"

/* --- The journal --------------------------------------------------------------------------------------
 *
 * Fields are set with the macros of sys/log.h: BACKUPX_RUN=, BACKUPX_TASK=, BACKUPX_NODE=, BACKUPX_TARGET=,
 * BACKUPX_COMMAND=, BACKUPX_ATTEMPT=, BACKUPX_USER=, BACKUPX_STATE=.
 *
 * One identifier for each event that an administrator may act on. Each has an entry in
 * packaging/backupx.catalog, which a test compares with this list. */

#define MESSAGE_RUN_QUEUED "83de8cf72b274ac1a9caaf9176d4511b"
#define MESSAGE_RUN_STARTED "09c8458e80cb43ad85d25ca12f16ed4d"
#define MESSAGE_RUN_SUCCEEDED "d7771601705642c292eca591a38858bf"
#define MESSAGE_RUN_PARTIAL "60bd9378bf1e40c28b2603cd058efd5b"
#define MESSAGE_RUN_FAILED "a463b368ea334a3f92686e5377ef5ba9"
#define MESSAGE_RUN_CANCELLED "28a8eccd63824564910ea2fc35567e11"
#define MESSAGE_RUN_MISSED "ebafbaca933e4a7984c492b4c82b8984"
#define MESSAGE_RUN_INTERRUPTED "bb5e562e63524fa1a929976738ccd92f"
#define MESSAGE_COMMAND_TIMEOUT "7bbd8f059217442095ab367618eead6b"
#define MESSAGE_COMMAND_REDELIVERED "ce57ba3ddaff4eeeb3a3e5544aac6bb3"
#define MESSAGE_NODE_ONLINE "56633d605d0541cea7ef3c4a1e93b77e"
#define MESSAGE_NODE_OFFLINE "c6cede3197d54086895fdf878c6f9362"
#define MESSAGE_NODE_DUPLICATE "aeef33eb78384de085504eae7ca09503"
#define MESSAGE_NODE_ENROLLED "478a9ef428f6434891e3cb6d594df8a4"
#define MESSAGE_NODE_KEY_MISMATCH "1b4d994070ba4e848bb5043e893a71ce"
#define MESSAGE_NODE_TOKEN_INVALID "58ddf0124e4b4de7a9182d578d2cc357"
#define MESSAGE_TASK_DISABLED "7672debce76a4c78ac7b4c9848df2acd"
#define MESSAGE_LOGIN_FAILED "3786a8ce56fc40adb7568ab08e190def"
#define MESSAGE_LOGIN_THROTTLED "27845b20b9be4ab18fb7b1dcb510fea6"
#define MESSAGE_SETUP_DONE "f7ec13eab88c45519c337207e21cc12b"
#define MESSAGE_KEYS_MADE "23b6b29cd8044a26aeb39598cb6da4da"
#define MESSAGE_STORE_FAILED "411944aef2e544f98462ba9f3134fdb8"
#define MESSAGE_CONFIG_INVALID "5db503931f454299906fdd111aa8a292"
#define MESSAGE_CERTIFICATE_INVALID "6de88397df8e409d92ec840de53e784b"
#define MESSAGE_AGENT_CONNECTED "8dc2136959cd43e69456dab956b717f4"
#define MESSAGE_AGENT_DISCONNECTED "425578e84dd34fa1a34172f6a8c70d9c"
#define MESSAGE_AGENT_REFUSED "7e1952152f13486883799e18a74ffb0a"
#define MESSAGE_JOB_STARTED "9364685962184c6aaaddd6f8768213ba"
#define MESSAGE_JOB_FINISHED "9ca134eb54d24997a80144ac17dcc885"
#define MESSAGE_JOB_LOST "f1cc756cba6f4c008e61f38c5f2dbe9a"
#define MESSAGE_POLICY_DENIED "5e566ab08a34451b82ab48f3f25b9516"
#define MESSAGE_CHECK_PASSED "b24ab42f27334ab194203cf14826833f"
#define MESSAGE_CHECK_FAILED "ccec9acab1c14b1bb46250ec3f52a847"
