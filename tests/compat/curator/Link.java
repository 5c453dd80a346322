import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryForever;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooKeeper;

/** A Curator client that reaches the server through a proxy of its own, so that it can be cut off. */
final class Link implements AutoCloseable {
    private static final int CONNECT_SECONDS_MAX = 20;
    private static final int RETRY_MS = 50;

    final CuratorFramework client;
    final Proxy proxy;
    final List<ConnectionState> states = new CopyOnWriteArrayList<>();
    private final int serverPort;

    Link(int serverPort, int timeoutMs, String namespace) throws Exception {
        this.serverPort = serverPort;
        proxy = new Proxy(serverPort);
        client = CuratorFrameworkFactory.builder()
                .connectString("127.0.0.1:" + proxy.port())
                .sessionTimeoutMs(timeoutMs)
                .connectionTimeoutMs(timeoutMs)
                .retryPolicy(new RetryForever(RETRY_MS))
                .namespace(namespace)
                .authorization("digest", "curator:secret".getBytes())
                .build();
        client.getConnectionStateListenable().addListener((c, state) -> states.add(state));
        client.start();
        Check.that(client.blockUntilConnected(CONNECT_SECONDS_MAX, TimeUnit.SECONDS), "connected");
    }

    long session() throws Exception {
        return client.getZookeeperClient().getZooKeeper().getSessionId();
    }

    /** Cut the connection, and wait until Curator has seen it and is connected again. */
    void cut() throws Exception {
        int seen = states.size();
        proxy.cut();
        awaitReconnected(seen);
    }

    /** Close the session from elsewhere, as its own password allows, and wait for Curator's next. */
    void expire() throws Exception {
        ZooKeeper mine = client.getZookeeperClient().getZooKeeper();
        long id = mine.getSessionId();
        int seen = states.size();
        proxy.down(); /* Or it may take the session back before it is closed. */
        try {
            closeFromElsewhere(mine);
        } finally {
            proxy.up();
        }
        Check.until(() -> states.subList(seen, states.size()).contains(ConnectionState.LOST),
                "it is told");
        awaitReconnected(seen);
        Check.until(() -> session() != 0 && session() != id, "a new session");
    }

    private void closeFromElsewhere(ZooKeeper mine) throws Exception {
        CountDownLatch connected = new CountDownLatch(1);
        ZooKeeper other = new ZooKeeper("127.0.0.1:" + serverPort, mine.getSessionTimeout(),
                event -> {
                    if (event.getState() == Watcher.Event.KeeperState.SyncConnected) {
                        connected.countDown();
                    }
                },
                mine.getSessionId(), mine.getSessionPasswd());
        Check.that(connected.await(CONNECT_SECONDS_MAX, TimeUnit.SECONDS), "the second handle");
        other.close();
    }

    private void awaitReconnected(int seen) throws Exception {
        Check.until(() -> states.size() > seen
                && states.get(states.size() - 1) == ConnectionState.RECONNECTED, "reconnected");
    }

    @Override
    public void close() {
        client.close();
        proxy.close();
    }
}
