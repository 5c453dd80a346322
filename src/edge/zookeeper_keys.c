/* The keys of zoo.cfg that Moonkeeper has no use for, so that an existing file can be used as it is
 * and a misspelt key is still found. Source: zookeeper-protocol.md sections 11.2 and 11.3. */
#include "edge/options.h"

#include <string.h>
#include <strings.h>

/* A name that ends in a dot stands for all that begin with it. `harmless`: the value that asks for
 * nothing that is missing here; with any other the key is what `kind` says. */
static const struct key {
    const char *name;
    enum zookeeper_key kind;
    const char *harmless;
} keys[] = {
    {"server.", ZOOKEEPER_KEY_SERVER, NULL},
    {"group.", ZOOKEEPER_KEY_SERVER, NULL},
    {"weight.", ZOOKEEPER_KEY_SERVER, NULL},
    {"observerMasterPort", ZOOKEEPER_KEY_OBSERVERS, "0"},

    {"electionAlg", ZOOKEEPER_KEY_MEMBER, "3"},
    {"leaderServes", ZOOKEEPER_KEY_MEMBER, "yes"},
    {"quorum.auth.enableSasl", ZOOKEEPER_KEY_MEMBER, "false"},
    {"multiAddress.enabled", ZOOKEEPER_KEY_MEMBER, "false"},
    {"oraclePath", ZOOKEEPER_KEY_MEMBER, NULL},

    {"admin.portUnification", ZOOKEEPER_KEY_TLS, "false"},
    {"admin.forceHttps", ZOOKEEPER_KEY_TLS, "false"},
    {"admin.needClientAuth", ZOOKEEPER_KEY_TLS, "false"},
    {"ssl.ocsp", ZOOKEEPER_KEY_TLS, "false"},
    {"ssl.quorum.ocsp", ZOOKEEPER_KEY_TLS, "false"},
    {"ssl.authProvider", ZOOKEEPER_KEY_TLS, "x509"},
    {"ssl.context.supplier.class", ZOOKEEPER_KEY_TLS, NULL},
    {"ssl.quorum.context.supplier.class", ZOOKEEPER_KEY_TLS, NULL},
    {"X509AuthenticationProvider.clientCertIdType", ZOOKEEPER_KEY_TLS, "subject"},

    {"connectToLearnerMasterLimit", ZOOKEEPER_KEY_IGNORED, NULL},
    {"syncEnabled", ZOOKEEPER_KEY_IGNORED, NULL},
    {"autopurge.snapRetainCount", ZOOKEEPER_KEY_IGNORED, NULL},
    {"autopurge.purgeInterval", ZOOKEEPER_KEY_IGNORED, NULL},
    {"quorum.auth.", ZOOKEEPER_KEY_IGNORED, NULL},
    {"quorum.cnxn.threads.size", ZOOKEEPER_KEY_IGNORED, NULL},
    {"multiAddress.", ZOOKEEPER_KEY_IGNORED, NULL},
    {"metricsProvider.", ZOOKEEPER_KEY_IGNORED, NULL},
    {"jvm.pause.monitor", ZOOKEEPER_KEY_IGNORED, NULL},
    {"jvm.pause.", ZOOKEEPER_KEY_IGNORED, NULL},

    {"snapCount", ZOOKEEPER_KEY_IGNORED, NULL},
    {"snapSizeLimitInKb", ZOOKEEPER_KEY_IGNORED, NULL},
    {"txnLogSizeLimitInKb", ZOOKEEPER_KEY_IGNORED, NULL},
    {"flushDelay", ZOOKEEPER_KEY_IGNORED, NULL},
    {"maxWriteQueuePollTime", ZOOKEEPER_KEY_IGNORED, NULL},
    {"maxBatchSize", ZOOKEEPER_KEY_IGNORED, NULL},
    {"jute.maxbuffer.extrasize", ZOOKEEPER_KEY_IGNORED, NULL},
    {"maxResponseCacheSize", ZOOKEEPER_KEY_IGNORED, NULL},
    {"maxGetChildrenResponseCacheSize", ZOOKEEPER_KEY_IGNORED, NULL},
    {"leader.", ZOOKEEPER_KEY_IGNORED, NULL},
    {"learner.", ZOOKEEPER_KEY_IGNORED, NULL},
    {"follower.nodelay", ZOOKEEPER_KEY_IGNORED, NULL},
    {"observer.", ZOOKEEPER_KEY_IGNORED, NULL},
    {"quorumCnxnTimeoutMs", ZOOKEEPER_KEY_IGNORED, NULL},
    {"electionPortBindRetry", ZOOKEEPER_KEY_IGNORED, NULL},
    {"connection_throttle_local_session_weight", ZOOKEEPER_KEY_IGNORED, NULL},
    {"request_throttle_stall_time", ZOOKEEPER_KEY_IGNORED, NULL},
    {"request_throttle_drop_stale", ZOOKEEPER_KEY_IGNORED, NULL},
    {"request_stale_connection_check", ZOOKEEPER_KEY_IGNORED, NULL},
    {"request_stale_latency_check", ZOOKEEPER_KEY_IGNORED, NULL},
    {"nio.", ZOOKEEPER_KEY_IGNORED, NULL},
    {"commitProcessor.", ZOOKEEPER_KEY_IGNORED, NULL},
    {"serverCnxnFactory", ZOOKEEPER_KEY_IGNORED, NULL},
    {"emulate353TTLNodes", ZOOKEEPER_KEY_IGNORED, NULL},
    {"digest.enabled", ZOOKEEPER_KEY_IGNORED, NULL},
    {"snapshot.", ZOOKEEPER_KEY_IGNORED, NULL},
    {"serializeLastProcessedZxid.enabled", ZOOKEEPER_KEY_IGNORED, NULL},
    {"audit.", ZOOKEEPER_KEY_IGNORED, NULL},
    {"watchManagerName", ZOOKEEPER_KEY_IGNORED, NULL},
    {"watcherCleanThreshold", ZOOKEEPER_KEY_IGNORED, NULL},
    {"watcherCleanIntervalInSeconds", ZOOKEEPER_KEY_IGNORED, NULL},
    {"watcherCleanThreadsNum", ZOOKEEPER_KEY_IGNORED, NULL},
    {"maxInProcessingDeadWatchers", ZOOKEEPER_KEY_IGNORED, NULL},
    {"bitHashCacheSize", ZOOKEEPER_KEY_IGNORED, NULL},
    {"admin.", ZOOKEEPER_KEY_IGNORED, NULL},
    {"authProvider.", ZOOKEEPER_KEY_IGNORED, NULL},
    {"IPAuthenticationProvider.usexforwardedfor", ZOOKEEPER_KEY_IGNORED, NULL},
    {"superUser.", ZOOKEEPER_KEY_SUPER_USER, NULL},
    {"enableEagerACLCheck", ZOOKEEPER_KEY_IGNORED, NULL},
    {"ensembleAuthName", ZOOKEEPER_KEY_IGNORED, NULL},
    {"kerberos.", ZOOKEEPER_KEY_IGNORED, NULL},
    /* Of who dials clients' ports, which no server does; of files without a password; of Java. */
    {"ssl.hostnameVerification", ZOOKEEPER_KEY_IGNORED, NULL},
    {"ssl.trustStore.password", ZOOKEEPER_KEY_IGNORED, NULL},
    {"ssl.trustStore.passwordPath", ZOOKEEPER_KEY_IGNORED, NULL},
    {"ssl.quorum.trustStore.password", ZOOKEEPER_KEY_IGNORED, NULL},
    {"ssl.quorum.trustStore.passwordPath", ZOOKEEPER_KEY_IGNORED, NULL},
    {"ssl.allowReverseDnsLookup", ZOOKEEPER_KEY_IGNORED, NULL},
    {"ssl.quorum.allowReverseDnsLookup", ZOOKEEPER_KEY_IGNORED, NULL},
    {"ssl.sslProvider", ZOOKEEPER_KEY_IGNORED, NULL},
    {"ssl.quorum.sslProvider", ZOOKEEPER_KEY_IGNORED, NULL},
    {"X509AuthenticationProvider.clientCertIdSan", ZOOKEEPER_KEY_IGNORED, NULL},
    {"fips-mode", ZOOKEEPER_KEY_IGNORED, NULL},
    {"netty.", ZOOKEEPER_KEY_IGNORED, NULL},
    {"datadir.autocreate", ZOOKEEPER_KEY_IGNORED, NULL},
    {"db.autocreate", ZOOKEEPER_KEY_IGNORED, NULL},
    {"messageTracker.", ZOOKEEPER_KEY_IGNORED, NULL},
};

static bool is_prefix(const char *name)
{
    char last = name[strlen(name) - 1];
    return last == '.' || last == '_';
}

static bool key_matches(const struct key *key, const char *name)
{
    size_t length = strlen(key->name);
    return is_prefix(key->name) ? strncmp(key->name, name, length) == 0 && name[length] != '\0'
                                : strcmp(key->name, name) == 0;
}

enum zookeeper_key zookeeper_key_find(const char *key, const char *value)
{
    for (size_t i = 0; i < MK_COUNT(keys); i++) {
        if (key_matches(&keys[i], key)) {
            bool harmless = keys[i].harmless != NULL && strcasecmp(keys[i].harmless, value) == 0;
            return harmless ? ZOOKEEPER_KEY_IGNORED : keys[i].kind;
        }
    }
    return ZOOKEEPER_KEY_UNKNOWN;
}

const char *zookeeper_key_name(size_t index)
{
    for (size_t i = 0; i < MK_COUNT(keys); i++) {
        if (!is_prefix(keys[i].name) && index-- == 0) {
            return keys[i].name;
        }
    }
    return NULL;
}
