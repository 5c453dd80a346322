/* The only place where a status becomes ZooKeeper's number, and back. No `default` below where the
 * value is ours: the compiler finds the case that somebody forgot. */
#include "jute/jute.h"

int32_t jute_error_code(enum mk_status status)
{
    switch (status) {
    case MK_OK: return 0;
    case MK_RUNTIME_INCONSISTENCY: return -2;
    case MK_MALFORMED: return -5;
    case MK_UNIMPLEMENTED: return -6;
    case MK_BAD_ARGUMENTS: return -8;
    case MK_NO_NODE: return -101;
    case MK_NO_AUTH: return -102;
    case MK_BAD_VERSION: return -103;
    case MK_NO_CHILDREN_FOR_EPHEMERALS: return -108;
    case MK_NODE_EXISTS: return -110;
    case MK_NOT_EMPTY: return -111;
    case MK_SESSION_EXPIRED: return -112;
    case MK_INVALID_ACL: return -114;
    case MK_AUTH_FAILED: return -115;
    case MK_SESSION_MOVED: return -118;
    case MK_NOT_READ_ONLY: return -119;
    case MK_EPHEMERAL_ON_LOCAL_SESSION: return -120;
    case MK_NO_WATCHER: return -121;
    case MK_NEW_CONFIG_NO_QUORUM: return -13;
    case MK_RECONFIG_IN_PROGRESS: return -14;
    case MK_RECONFIG_DISABLED: return -123;
    case MK_AUTH_REQUIRED: return -124;
    case MK_QUOTA_EXCEEDED: return -125;
    case MK_OVERLOADED: return -127;
    case MK_IO:
    case MK_NO_SPACE:
    case MK_CORRUPT:
    case MK_IN_USE: return -1; /* What broke is in the log; a client can do nothing with it. */
    case MK_WOULD_BLOCK:
    case MK_END:
    case MK_STATUS_COUNT: break;
    }
    mk_assert_failed("a status between rooms has no code on the wire", __FILE__, __LINE__);
}

enum mk_status jute_error_status(int32_t code)
{
    switch (code) {
    case 0: return MK_OK;
    case -2: return MK_RUNTIME_INCONSISTENCY;
    case -5: return MK_MALFORMED;
    case -6: return MK_UNIMPLEMENTED;
    case -8: return MK_BAD_ARGUMENTS;
    case -101: return MK_NO_NODE;
    case -102: return MK_NO_AUTH;
    case -103: return MK_BAD_VERSION;
    case -108: return MK_NO_CHILDREN_FOR_EPHEMERALS;
    case -110: return MK_NODE_EXISTS;
    case -111: return MK_NOT_EMPTY;
    case -112: return MK_SESSION_EXPIRED;
    case -114: return MK_INVALID_ACL;
    case -115: return MK_AUTH_FAILED;
    case -118: return MK_SESSION_MOVED;
    case -119: return MK_NOT_READ_ONLY;
    case -120: return MK_EPHEMERAL_ON_LOCAL_SESSION;
    case -121: return MK_NO_WATCHER;
    case -13: return MK_NEW_CONFIG_NO_QUORUM;
    case -14: return MK_RECONFIG_IN_PROGRESS;
    case -123: return MK_RECONFIG_DISABLED;
    case -124: return MK_AUTH_REQUIRED;
    case -125: return MK_QUOTA_EXCEEDED;
    case -127: return MK_OVERLOADED;
    default: return MK_MALFORMED;
    }
}

/* Names as in ZooKeeper's KeeperException.Code, in camel case, without the word "Exception". */
const char *jute_error_name(int32_t code)
{
    switch (code) {
    case 0: return "Ok";
    case -1: return "SystemError";
    case -2: return "RuntimeInconsistency";
    case -3: return "DataInconsistency";
    case -4: return "ConnectionLoss";
    case -5: return "MarshallingError";
    case -6: return "Unimplemented";
    case -7: return "OperationTimeout";
    case -8: return "BadArguments";
    case -9: return "InvalidState";
    case -12: return "UnknownSession";
    case -13: return "NewConfigNoQuorum";
    case -14: return "ReconfigInProgress";
    case -15: return "SSLConnectionError";
    case -100: return "APIError";
    case -101: return "NoNode";
    case -102: return "NoAuth";
    case -103: return "BadVersion";
    case -108: return "NoChildrenForEphemerals";
    case -110: return "NodeExists";
    case -111: return "NotEmpty";
    case -112: return "SessionExpired";
    case -113: return "InvalidCallback";
    case -114: return "InvalidACL";
    case -115: return "AuthFailed";
    case -116: return "Closing";
    case -117: return "Nothing";
    case -118: return "SessionMoved";
    case -119: return "NotReadOnly";
    case -120: return "EphemeralOnLocalSession";
    case -121: return "NoWatcher";
    case -122: return "RequestTimeout";
    case -123: return "ReconfigDisabled";
    case -124: return "SessionClosedRequireSaslAuth";
    case -125: return "QuotaExceeded";
    case -127: return "ThrottledOp";
    default: return "Unknown";
    }
}
