/* Every key that ZooKeeper 3.8 and 3.9 document, with a value that a file of one server may have. */
#include "edge/options.h"
#include "unit/cmocka.h"

struct key_value {
    const char *key, *value;
};

/* zoo.cfg's own keys: protocol reference, section 11.2. */
static const struct key_value file_keys[] = {
    {"dataDir", "/var/lib/zookeeper"},
    {"dataLogDir", "/var/lib/zookeeper"},
    {"clientPort", "2181"},
    {"clientPortAddress", "127.0.0.1"},
    {"observerMasterPort", "0"},
    {"clientPortListenBacklog", "-1"},
    {"tickTime", "3000"},
    {"initLimit", "10"},
    {"syncLimit", "5"},
    {"connectToLearnerMasterLimit", "0"},
    {"minSessionTimeout", "6000"},
    {"maxSessionTimeout", "60000"},
    {"maxClientCnxns", "60"},
    {"electionAlg", "3"},
    {"peerType", "participant"},
    {"quorumListenOnAllIPs", "false"},
    {"syncEnabled", "true"},
    {"autopurge.snapRetainCount", "3"},
    {"autopurge.purgeInterval", "0"},
    {"standaloneEnabled", "true"},
    {"reconfigEnabled", "false"},
    {"localSessionsEnabled", "false"},
    {"localSessionsUpgradingEnabled", "false"},
    {"sslQuorum", "false"},
    {"portUnification", "false"},
    {"sslQuorumReloadCertFiles", "false"},
    {"quorum.auth.enableSasl", "false"},
    {"quorum.auth.serverRequireSasl", "false"},
    {"quorum.auth.learnerRequireSasl", "false"},
    {"quorum.auth.learner.saslLoginContext", "QuorumLearner"},
    {"quorum.auth.server.saslLoginContext", "QuorumServer"},
    {"quorum.auth.kerberos.servicePrincipal", "zkquorum/localhost"},
    {"quorum.cnxn.threads.size", "20"},
    {"multiAddress.enabled", "false"},
    {"multiAddress.reachabilityCheckEnabled", "true"},
    {"multiAddress.reachabilityCheckTimeoutMs", "1000"},
    {"oraclePath", "/chassis/mastership"},
    {"metricsProvider.className", "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider"},
    {"metricsProvider.httpPort", "7000"},
    {"metricsProvider.exportJvmInfo", "true"},
    {"jvm.pause.monitor", "false"},
    {"jvm.pause.info-threshold.ms", "1000"},
    {"jvm.pause.warn-threshold.ms", "10000"},
    {"jvm.pause.sleep.time.ms", "500"},
    {"server.1", "localhost:2888:3888"},
};

/* System properties, which a file may hold without their prefix: section 11.3. */
static const struct key_value property_keys[] = {
    {"globalOutstandingLimit", "1000"},
    {"snapCount", "100000"},
    {"snapSizeLimitInKb", "4194304"},
    {"txnLogSizeLimitInKb", "-1"},
    {"preAllocSize", "65536"},
    {"commitLogCount", "500"},
    {"forceSync", "yes"},
    {"fsync.warningthresholdms", "1000"},
    {"flushDelay", "0"},
    {"maxWriteQueuePollTime", "0"},
    {"maxBatchSize", "1000"},
    {"maxCnxns", "0"},
    {"jute.maxbuffer", "1048575"},
    {"jute.maxbuffer.extrasize", "1048575"},
    {"maxResponseCacheSize", "400"},
    {"maxGetChildrenResponseCacheSize", "400"},
    {"leaderServes", "yes"},
    {"leader.maxTimeToWaitForEpoch", "-1"},
    {"leader.maxConcurrentSnapSyncs", "10"},
    {"leader.maxConcurrentDiffSyncs", "100"},
    {"cnxTimeout", "5000"},
    {"quorumCnxnTimeoutMs", "-1"},
    {"electionPortBindRetry", "3"},
    {"tcpKeepAlive", "false"},
    {"clientTcpKeepAlive", "false"},
    {"observer.reconnectDelayMs", "0"},
    {"observer.election.DelayMs", "200"},
    {"fastleader.minNotificationInterval", "200"},
    {"fastleader.maxNotificationInterval", "60000"},
    {"learner.asyncSending", "false"},
    {"learner.closeSocketAsync", "false"},
    {"leader.closeSocketAsync", "false"},
    {"connection_throttle_tokens", "0"},
    {"connection_throttle_fill_time", "1"},
    {"connection_throttle_fill_count", "1"},
    {"connection_throttle_freeze_time", "-1"},
    {"connection_throttle_drop_increase", "0.02"},
    {"connection_throttle_drop_decrease", "0.002"},
    {"connection_throttle_decrease_ratio", "0"},
    {"connection_throttle_weight_enabled", "false"},
    {"connection_throttle_global_session_weight", "3"},
    {"connection_throttle_renew_session_weight", "2"},
    {"connection_throttle_local_session_weight", "1"},
    {"request_throttle_max_requests", "0"},
    {"request_throttle_stall_time", "100"},
    {"request_throttle_drop_stale", "true"},
    {"request_stale_connection_check", "true"},
    {"request_stale_latency_check", "false"},
    {"throttled_op_wait_time", "0"},
    {"largeRequestMaxBytes", "104857600"},
    {"largeRequestThreshold", "-1"},
    {"nio.sessionlessCnxnTimeout", "10000"},
    {"nio.numSelectorThreads", "2"},
    {"nio.numWorkerThreads", "4"},
    {"nio.directBufferBytes", "65536"},
    {"nio.shutdownTimeout", "5000"},
    {"commitProcessor.numWorkerThreads", "4"},
    {"commitProcessor.maxReadBatchSize", "-1"},
    {"commitProcessor.maxCommitBatchSize", "1"},
    {"serverCnxnFactory", "org.apache.zookeeper.server.NIOServerCnxnFactory"},
    {"extendedTypesEnabled", "false"},
    {"emulate353TTLNodes", "false"},
    {"enforceQuota", "false"},
    {"digest.enabled", "true"},
    {"snapshot.compression.method", "gz"},
    {"snapshot.trust.empty", "false"},
    {"serializeLastProcessedZxid.enabled", "true"},
    {"audit.enable", "false"},
    {"audit.impl.class", "org.apache.zookeeper.audit.Slf4jAuditLogger"},
    {"watchManagerName", "org.apache.zookeeper.server.watch.WatchManager"},
    {"watcherCleanThreshold", "1000"},
    {"watcherCleanIntervalInSeconds", "600"},
    {"watcherCleanThreadsNum", "2"},
    {"maxInProcessingDeadWatchers", "-1"},
    {"bitHashCacheSize", "10"},
    {"znode.container.checkIntervalMs", "60000"},
    {"znode.container.maxPerMinute", "10000"},
    {"znode.container.maxNeverUsedIntervalMs", "0"},
    {"readonlymode.enabled", "false"},
    {"follower.nodelay", "true"},
    {"leader.nodelay", "true"},
    {"4lw.commands.whitelist", "*"},
    {"admin.enableServer", "true"},
    {"admin.serverAddress", "0.0.0.0"},
    {"admin.serverPort", "8080"},
    {"admin.idleTimeout", "30000"},
    {"admin.commandURL", "/commands"},
    {"admin.portUnification", "false"},
    {"admin.forceHttps", "false"},
    {"admin.needClientAuth", "false"},
    {"admin.snapshot.enabled", "true"},
    {"admin.restore.enabled", "true"},
    {"admin.rateLimiterIntervalInMS", "300000"},
    {"authProvider.1", "org.apache.zookeeper.server.auth.DigestAuthenticationProvider"},
    {"DigestAuthenticationProvider.enabled", "true"},
    {"DigestAuthenticationProvider.superDigest", "super:xQJmxLMiHGwaqBvst5y6rkB6HQs="},
    {"DigestAuthenticationProvider.digestAlg", "SHA1"},
    {"X509AuthenticationProvider.superUser", "CN=super"},
    {"superUser", "super"},
    {"superUser.1", "super"},
    {"letAnySaslUserDoX", "super"},
    {"skipACL", "no"},
    {"enableEagerACLCheck", "false"},
    {"enforce.auth.enabled", "false"},
    {"enforce.auth.schemes", "digest"},
    {"sessionRequireClientSASLAuth", "false"},
    {"allowSaslFailedClients", "false"},
    {"ensembleAuthName", "ensemble"},
    {"IPAuthenticationProvider.usexforwardedfor", "false"},
    {"kerberos.removeHostFromPrincipal", "false"},
    {"kerberos.removeRealmFromPrincipal", "false"},
    {"kerberos.canonicalizeHostNames", "false"},
    {"sasl.serverconfig", "Server"},
    {"ssl.keyStore.location", "/etc/key.pem"},
    {"ssl.quorum.trustStore.passwordPath", "/etc/pass"},
    {"ssl.protocol", "TLSv1.3"},
    {"ssl.clientAuth", "need"},
    {"ssl.handshakeDetectionTimeoutMillis", "5000"},
    {"fips-mode", "true"},
    {"client.certReload", "false"},
    {"client.portUnification", "false"},
    {"netty.server.outstandingHandshake.limit", "-1"},
    {"netty.advancedFlowControl.enabled", "false"},
    {"netty.server.earlyDropSecureConnectionHandshakes", "false"},
    {"datadir.autocreate", "true"},
    {"db.autocreate", "true"},
    {"messageTracker.BufferSize", "10"},
    {"messageTracker.Enabled", "false"},
};

static void assert_accepted(struct edge_options *options, const char *key, const char *value)
{
    struct mk_error error = {""};
    if (option_set(options, key, value, &error) != MK_OK) {
        fail_msg("%s", error.text);
    }
}

static void every_key_of_zookeepers_file_is_accepted(void **state)
{
    struct edge_options options;
    struct mk_error error = {""};
    edge_options_default(&options);

    for (size_t i = 0; i < MK_COUNT(file_keys); i++) {
        assert_accepted(&options, file_keys[i].key, file_keys[i].value);
    }

    assert_int_equal(options_check(&options, &error), MK_OK);
    edge_options_free(&options);
}

static void every_property_of_zookeeper_is_accepted_with_and_without_its_prefix(void **state)
{
    struct edge_options options;
    struct mk_error error = {""};
    edge_options_default(&options);

    for (size_t i = 0; i < MK_COUNT(property_keys); i++) {
        char property[128] = "zookeeper.";
        strncat(property, property_keys[i].key, sizeof(property) - strlen(property) - 1);
        assert_accepted(&options, property_keys[i].key, property_keys[i].value);
        assert_accepted(&options, property, property_keys[i].value);
    }

    assert_int_equal(options_check(&options, &error), MK_OK);
    edge_options_free(&options);
}

static void every_key_that_is_misspelt_by_a_letter_is_refused(void **state)
{
    for (size_t i = 0; i < MK_COUNT(property_keys); i++) {
        struct edge_options options;
        struct mk_error error = {""};
        char key[128] = "x";

        strncat(key, property_keys[i].key, sizeof(key) - 2);
        edge_options_default(&options);
        assert_int_equal(option_set(&options, key, property_keys[i].value, &error),
                         MK_BAD_ARGUMENTS);
        edge_options_free(&options);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_of_zookeepers_file_is_accepted),
        cmocka_unit_test(every_property_of_zookeeper_is_accepted_with_and_without_its_prefix),
        cmocka_unit_test(every_key_that_is_misspelt_by_a_letter_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
