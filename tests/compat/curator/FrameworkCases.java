import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.WatcherRemoveCuratorFramework;
import org.apache.curator.framework.api.CuratorWatcher;
import org.apache.curator.framework.api.transaction.CuratorOp;
import org.apache.curator.framework.api.transaction.CuratorTransactionResult;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.data.Stat;

/** Curator's own face of ZooKeeper's operations. */
final class FrameworkCases extends Cases {
    FrameworkCases() {
        add("Curator creates, reads, writes, lists and deletes", this::basics);
        add("Curator creates or sets, idempotently, and deletes quietly and with children", this::upserts);
        add("Curator creates all modes of znodes, containers and TTLs included", this::modes);
        add("Curator's protected create finds its znode after a cut", this::protectedCreate);
        add("Curator's background operations complete in order", this::background);
        add("Curator's background operations complete in spite of cuts", this::backgroundCuts);
        add("Curator's guaranteed delete happens after the connection has come back", this::guaranteed);
        add("Curator's transactions commit as one, or not at all", this::transactions);
        add("Curator's watches fire once, and are removed on request", this::watches);
        add("Curator's watches survive a cut", this::watchesCut);
        add("Curator's persistent watches stay until they are removed", this::persistentWatches);
        add("Curator reads and sets ACLs, and is kept out by them", this::acls);
        add("Curator keeps its session over a cut, and gets another after an expiry", this::sessions);
        add("Curator's compressed data comes back as it was", this::compressed);
    }

    private void basics() throws Exception {
        CuratorFramework client = client();
        Stat stat = new Stat();

        Check.equal("/a/b", client.create().creatingParentsIfNeeded().storingStatIn(stat)
                .forPath("/a/b", "1".getBytes()));
        Check.equal(0, stat.getVersion());
        Check.equal("1", new String(client.getData().storingStatIn(stat).forPath("/a/b")));
        Check.equal(1, client.setData().withVersion(0).forPath("/a/b", "2".getBytes()).getVersion());
        Check.fails(KeeperException.BadVersionException.class,
                () -> client.setData().withVersion(0).forPath("/a/b", "3".getBytes()));
        Check.equal(List.of("b"), client.getChildren().forPath("/a"));
        Check.fails(KeeperException.NotEmptyException.class, () -> client.delete().forPath("/a"));
        Check.fails(KeeperException.NodeExistsException.class, () -> client.create().forPath("/a"));
        client.sync().forPath("/a");
        client.delete().withVersion(1).forPath("/a/b");
        Check.equal(null, client.checkExists().forPath("/a/b"));
        Check.fails(KeeperException.NoNodeException.class, () -> client.getData().forPath("/a/b"));
        Check.equal(1, client.usingNamespace(null).getData().forPath("/zookeeper/quota").length + 1);
    }

    private void upserts() throws Exception {
        CuratorFramework client = client();
        client.create().orSetData().creatingParentsIfNeeded().forPath("/a/b", "1".getBytes());
        client.create().orSetData().forPath("/a/b", "2".getBytes());
        Check.equal("2", new String(client.getData().forPath("/a/b")));
        client.create().idempotent().forPath("/a/c", "1".getBytes());
        client.create().idempotent().forPath("/a/c", "1".getBytes());
        client.setData().idempotent().withVersion(0).forPath("/a/c", "2".getBytes());
        client.setData().idempotent().withVersion(0).forPath("/a/c", "2".getBytes());
        client.delete().quietly().forPath("/none");
        client.delete().deletingChildrenIfNeeded().forPath("/a");
        Check.equal(null, client.checkExists().forPath("/a"));
    }

    private void modes() throws Exception {
        CuratorFramework client = client();
        client.create().forPath("/dir");
        String first = client.create().withMode(CreateMode.PERSISTENT_SEQUENTIAL).forPath("/dir/s-");
        String second = client.create().withMode(CreateMode.EPHEMERAL_SEQUENTIAL).forPath("/dir/s-");
        Check.equal("/dir/s-0000000000", first);
        Check.equal("/dir/s-0000000001", second);
        Check.fails(KeeperException.NoChildrenForEphemeralsException.class,
                () -> client.create().forPath(second + "/child"));

        client.create().withMode(CreateMode.CONTAINER).forPath("/container");
        client.create().withTtl(600_000).withMode(CreateMode.PERSISTENT_WITH_TTL).forPath("/ttl");
        Check.equal("/ttl-0000000003", client.create().withTtl(600_000)
                .withMode(CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL).forPath("/ttl-"));
        for (String path : List.of("/container", "/ttl", "/ttl-0000000003")) {
            Check.equal(0L, client.checkExists().forPath(path).getEphemeralOwner());
            client.create().forPath(path + "/child");
        }
    }

    private void protectedCreate() throws Exception {
        Link link = link();
        link.client.create().forPath("/dir");
        for (int i = 0; i < 4; i++) {
            var creating = start(() -> link.client.create().withProtection()
                    .withMode(CreateMode.EPHEMERAL_SEQUENTIAL).forPath("/dir/p-"));
            link.proxy.cut();
            String path = result(creating);
            Check.equal(i + 1, link.client.getChildren().forPath("/dir").size());
            Check.that(link.client.checkExists().forPath(path) != null, path);
        }
    }

    private void background() throws Exception {
        int count = 500;
        CuratorFramework client = client();
        client.create().forPath("/dir");
        List<String> names = Collections.synchronizedList(new ArrayList<>());
        CountDownLatch done = new CountDownLatch(count);
        for (int i = 0; i < count; i++) {
            client.create().withMode(CreateMode.PERSISTENT_SEQUENTIAL).inBackground((c, event) -> {
                names.add(event.getName());
                done.countDown();
            }).forPath("/dir/n-");
        }
        Check.that(done.await(RESULT_SECONDS_MAX, TimeUnit.SECONDS), "all complete");
        for (int i = 0; i < count; i++) {
            Check.equal(String.format("/dir/n-%010d", i), names.get(i));
        }
    }

    private void backgroundCuts() throws Exception {
        int count = 300;
        Link link = link();
        link.client.create().forPath("/dir");
        CountDownLatch done = new CountDownLatch(count);
        for (int i = 0; i < count; i++) {
            link.client.create().orSetData().inBackground((c, event) -> done.countDown())
                    .forPath("/dir/n" + i, "x".getBytes());
            if (i % 100 == 50) {
                link.proxy.cut();
            }
        }
        Check.that(done.await(RESULT_SECONDS_MAX, TimeUnit.SECONDS), "all complete");
        Check.equal(count, link.client.getChildren().forPath("/dir").size());
    }

    private void guaranteed() throws Exception {
        Link link = link();
        CuratorFramework other = client();
        link.client.create().forPath("/dir");
        int seen = link.states.size();
        link.proxy.down();
        Check.until(() -> link.states.size() > seen, "it is told");

        var deleting = start(() -> {
            link.client.delete().guaranteed().forPath("/dir");
            return true;
        });
        link.proxy.up();

        Check.equal(true, result(deleting));
        Check.equal(null, other.checkExists().forPath("/dir"));
    }

    private void transactions() throws Exception {
        CuratorFramework client = client();
        client.create().forPath("/dir");
        CuratorOp make = client.transactionOp().create().forPath("/dir/a", "1".getBytes());
        CuratorOp set = client.transactionOp().setData().withVersion(0).forPath("/dir/a", "2".getBytes());
        CuratorOp check = client.transactionOp().check().withVersion(1).forPath("/dir/a");
        CuratorOp delete = client.transactionOp().delete().withVersion(7).forPath("/dir/a");

        Collection<CuratorTransactionResult> results = client.transaction().forOperations(make, set, check);
        Check.equal(3, results.size());
        Check.equal("2", new String(client.getData().forPath("/dir/a")));
        CuratorOp another = client.transactionOp().create().forPath("/dir/b");
        Check.fails(KeeperException.BadVersionException.class,
                () -> client.transaction().forOperations(another, delete));
        Check.equal(List.of("a"), client.getChildren().forPath("/dir"));
    }

    private static BlockingQueue<String> queue() {
        return new LinkedBlockingQueue<>();
    }

    private static CuratorWatcher into(BlockingQueue<String> told) {
        return event -> {
            if (event.getType() != Watcher.Event.EventType.None) {
                told.add(event.getType() + " " + event.getPath());
            }
        };
    }

    private static String next(BlockingQueue<String> told) throws Exception {
        return told.poll(RESULT_SECONDS_MAX, TimeUnit.SECONDS);
    }

    private void watches() throws Exception {
        CuratorFramework client = client();
        CuratorFramework other = client();
        BlockingQueue<String> told = queue();
        WatcherRemoveCuratorFramework watching = client.newWatcherRemoveCuratorFramework();
        watching.checkExists().usingWatcher(into(told)).forPath("/a");
        other.create().forPath("/a");
        Check.equal("NodeCreated /a", next(told));
        watching.getData().usingWatcher(into(told)).forPath("/a");
        other.setData().forPath("/a", "1".getBytes());
        other.setData().forPath("/a", "2".getBytes());
        Check.equal("NodeDataChanged /a", next(told));
        watching.getChildren().usingWatcher(into(told)).forPath("/a");
        other.create().forPath("/a/b");
        Check.equal("NodeChildrenChanged /a", next(told));

        watching.getData().usingWatcher(into(told)).forPath("/a");
        watching.removeWatchers();
        watching.checkExists().usingWatcher(into(told)).forPath("/c");
        other.setData().forPath("/a", "3".getBytes());
        other.create().forPath("/c");
        Check.until(() -> told.contains("NodeCreated /c"), "the one that was not removed");
        Check.that(!told.contains("NodeDataChanged /a"), "and no other: " + told);
    }

    private void watchesCut() throws Exception {
        Link link = link();
        CuratorFramework other = client();
        other.create().forPath("/a");
        other.create().forPath("/b");
        BlockingQueue<String> told = queue();
        link.client.getData().usingWatcher(into(told)).forPath("/a");
        link.client.getData().usingWatcher(into(told)).forPath("/b");
        link.client.checkExists().usingWatcher(into(told)).forPath("/c");
        int seen = link.states.size();

        link.proxy.down();
        Check.until(() -> link.states.size() > seen, "it is told");
        other.setData().forPath("/a", "meanwhile".getBytes());
        other.create().forPath("/c");
        link.proxy.up();

        List<String> both = new ArrayList<>(List.of(next(told), next(told)));
        Collections.sort(both);
        Check.equal(List.of("NodeCreated /c", "NodeDataChanged /a"), both);
        other.setData().forPath("/b", "later".getBytes());
        Check.equal("NodeDataChanged /b", next(told));
    }

    private void persistentWatches() throws Exception {
        CuratorFramework client = client();
        CuratorFramework other = client();
        BlockingQueue<String> told = queue();
        Watcher watcher = event -> told.add(event.getType() + " " + event.getPath());
        client.create().forPath("/a");
        client.watchers().add().withMode(AddWatchMode.PERSISTENT_RECURSIVE).usingWatcher(watcher)
                .forPath("/a");
        for (int i = 0; i < 3; i++) {
            other.create().forPath("/a/b");
            other.delete().forPath("/a/b");
            Check.equal("NodeCreated /a/b", next(told));
            Check.equal("NodeDeleted /a/b", next(told));
        }
        client.watchers().removeAll().ofType(Watcher.WatcherType.Any).forPath("/a");
        Check.equal("PersistentWatchRemoved /a", next(told));
        Check.fails(KeeperException.NoWatcherException.class,
                () -> client.watchers().removeAll().ofType(Watcher.WatcherType.Any).forPath("/a"));
    }

    private void acls() throws Exception {
        CuratorFramework client = client();
        client.create().withACL(ZooDefs.Ids.CREATOR_ALL_ACL).forPath("/a", "1".getBytes());
        Check.equal("digest", client.getACL().forPath("/a").get(0).getId().getScheme());
        Check.equal("1", new String(client.getData().forPath("/a")));
        client.setACL().withVersion(0).withACL(ZooDefs.Ids.READ_ACL_UNSAFE).forPath("/a");
        Check.fails(KeeperException.NoAuthException.class, () -> client.setData().forPath("/a"));
        Check.fails(KeeperException.NoAuthException.class, () -> client.create().forPath("/a/b"));
        Check.equal("1", new String(client.getData().forPath("/a")));
    }

    private void sessions() throws Exception {
        Link link = link();
        CuratorFramework other = client();
        link.client.create().withMode(CreateMode.EPHEMERAL).forPath("/a");
        long session = link.session();

        for (int i = 0; i < 3; i++) {
            link.cut();
        }
        Check.equal(session, link.session());
        Check.equal(session, other.checkExists().forPath("/a").getEphemeralOwner());
        link.expire();
        Check.that(link.session() != session, "another session");
        Check.equal(null, other.checkExists().forPath("/a"));
    }

    private void compressed() throws Exception {
        CuratorFramework client = client();
        byte[] data = "all work and no play ".repeat(1000).getBytes();
        client.create().compressed().forPath("/a", data);
        Check.that(client.checkExists().forPath("/a").getDataLength() < 1000, "it is small");
        Check.that(java.util.Arrays.equals(data, client.getData().decompressed().forPath("/a")), "equal");
    }
}
