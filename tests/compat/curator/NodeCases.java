import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.recipes.nodes.PersistentTtlNode;
import org.apache.curator.framework.recipes.watch.PersistentWatcher;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.Watcher;

/** Znodes that are kept in being, and watches that stay. */
final class NodeCases extends Cases {
    NodeCases() {
        add("PersistentNode comes back when it is deleted", this::persistentDeleted);
        add("PersistentNode, ephemeral, survives a cut and is made anew after an expiry",
                this::persistentExpires);
        add("PersistentNode, protected and sequential, is one znode after cuts", this::persistentProtected);
        add("PersistentTtlNode is touched, and so lives longer than its TTL", this::persistentTtl);
        add("GroupMember sees who is there, who has left, and who has expired", this::group);
        add("PersistentWatcher tells of every change below its path", this::watcherRecursive);
        add("PersistentWatcher tells of every change of its path and its children", this::watcherPlain);
        add("PersistentWatcher is armed again after a cut and an expiry", this::watcherReconnects);
    }

    private PersistentNode node(CuratorFramework client, CreateMode mode, boolean protect) throws Exception {
        PersistentNode node = closed(new PersistentNode(client, mode, protect, "/dir/node", "x".getBytes()));
        node.start();
        Check.that(node.waitForInitialCreate(RESULT_SECONDS_MAX, TimeUnit.SECONDS), "created");
        return node;
    }

    private void persistentDeleted() throws Exception {
        PersistentNode node = node(client(), CreateMode.EPHEMERAL, false);
        CuratorFramework other = client();
        long made = other.checkExists().forPath("/dir/node").getCzxid();

        other.delete().forPath("/dir/node");

        Check.until(() -> other.checkExists().forPath("/dir/node") != null, "it is there again");
        Check.that(other.checkExists().forPath("/dir/node").getCzxid() > made, "as another");
        node.setData("y".getBytes());
        Check.until(() -> new String(other.getData().forPath("/dir/node")).equals("y"), "changed");
    }

    private void persistentExpires() throws Exception {
        Link link = link();
        node(link.client, CreateMode.EPHEMERAL, false);
        CuratorFramework other = client();
        long first = link.session();

        link.cut();
        Check.equal(first, other.checkExists().forPath("/dir/node").getEphemeralOwner());
        link.expire();

        Check.until(() -> {
            var stat = other.checkExists().forPath("/dir/node");
            return stat != null && stat.getEphemeralOwner() == link.session();
        }, "the new session's");
    }

    private void persistentProtected() throws Exception {
        Link link = link();
        PersistentNode node = node(link.client, CreateMode.EPHEMERAL_SEQUENTIAL, true);
        CuratorFramework other = client();
        for (int i = 0; i < 3; i++) {
            link.cut();
        }
        Check.equal(1, other.getChildren().forPath("/dir").size());
        Check.that(other.checkExists().forPath(node.getActualPath()) != null, "the one that it names");
    }

    private void persistentTtl() throws Exception {
        CuratorFramework client = client();
        PersistentTtlNode node = closed(new PersistentTtlNode(client, "/dir/ttl", 1000, "x".getBytes()));
        node.start();
        Check.that(node.waitForInitialCreate(RESULT_SECONDS_MAX, TimeUnit.SECONDS), "created");
        CuratorFramework other = client();
        Check.until(() -> other.getChildren().forPath("/dir/ttl").size() == 1, "it is touched");
        long made = other.checkExists().forPath("/dir/ttl").getCzxid();
        long touched = other.checkExists().forPath("/dir/ttl/" + PersistentTtlNode.DEFAULT_CHILD_NODE_NAME)
                .getMzxid();

        Check.until(() -> other.checkExists()
                .forPath("/dir/ttl/" + PersistentTtlNode.DEFAULT_CHILD_NODE_NAME).getMzxid() > touched,
                "and again");
        Check.equal(made, other.checkExists().forPath("/dir/ttl").getCzxid());
    }

    private void group() throws Exception {
        Link gone = link();
        GroupMember one = closed(new GroupMember(client(), "/group", "one", "1".getBytes()));
        GroupMember two = closed(new GroupMember(client(), "/group", "two", "2".getBytes()));
        GroupMember three = closed(new GroupMember(gone.client, "/group", "three", "3".getBytes()));
        one.start();
        two.start();
        three.start();
        Check.until(() -> one.getCurrentMembers().keySet().equals(Set.of("one", "two", "three")), "three");
        Check.equal("2", new String(one.getCurrentMembers().get("two")));

        two.close();
        Check.until(() -> one.getCurrentMembers().keySet().equals(Set.of("one", "three")), "left");
        gone.expire();
        Check.until(() -> three.getCurrentMembers().keySet().equals(Set.of("one", "three")), "back");
        gone.client.close();
        Check.until(() -> one.getCurrentMembers().keySet().equals(Set.of("one")), "gone");
    }

    private static BlockingQueue<String> events(PersistentWatcher watcher) {
        BlockingQueue<String> told = new LinkedBlockingQueue<>();
        watcher.getListenable().addListener(event -> {
            if (event.getType() != Watcher.Event.EventType.None) {
                told.add(event.getType() + " " + event.getPath());
            }
        });
        return told;
    }

    /** A watcher that is armed: its start() does not wait for that. */
    private BlockingQueue<String> armed(CuratorFramework client, boolean recursive) throws Exception {
        PersistentWatcher watcher = closed(new PersistentWatcher(client, "/watched", recursive));
        BlockingQueue<String> told = events(watcher);
        watcher.start();
        CuratorFramework other = client();
        Check.until(() -> {
            other.create().orSetData().forPath("/watched");
            return !told.isEmpty();
        }, "it is armed");
        other.create().forPath("/watched/armed");
        other.delete().forPath("/watched/armed");
        String last = recursive ? "NodeDeleted /watched/armed" : "NodeChildrenChanged /watched";
        for (int seen = 0; seen < (recursive ? 1 : 2);) {
            seen += last.equals(told.poll(RESULT_SECONDS_MAX, TimeUnit.SECONDS)) ? 1 : 0;
        }
        return told;
    }

    private static void next(BlockingQueue<String> told, String... expected) throws Exception {
        for (String one : expected) {
            Check.equal(one, told.poll(RESULT_SECONDS_MAX, TimeUnit.SECONDS));
        }
    }

    private void watcherRecursive() throws Exception {
        BlockingQueue<String> told = armed(client(), true);
        CuratorFramework other = client();
        for (int i = 0; i < 3; i++) {
            other.create().forPath("/watched/a");
            other.create().forPath("/watched/a/b");
            other.setData().forPath("/watched/a/b", "x".getBytes());
            other.delete().deletingChildrenIfNeeded().forPath("/watched/a");
            next(told, "NodeCreated /watched/a", "NodeCreated /watched/a/b",
                    "NodeDataChanged /watched/a/b", "NodeDeleted /watched/a/b", "NodeDeleted /watched/a");
        }
    }

    private void watcherPlain() throws Exception {
        BlockingQueue<String> told = armed(client(), false);
        CuratorFramework other = client();
        for (int i = 0; i < 3; i++) {
            other.create().forPath("/watched/a");
            other.setData().forPath("/watched", "x".getBytes());
            other.setData().forPath("/watched/a", "not seen".getBytes());
            other.delete().forPath("/watched/a");
            next(told, "NodeChildrenChanged /watched", "NodeDataChanged /watched",
                    "NodeChildrenChanged /watched");
        }
    }

    private void watcherReconnects() throws Exception {
        Link link = link();
        BlockingQueue<String> told = armed(link.client, true);
        CuratorFramework other = client();

        link.cut();
        other.create().forPath("/watched/a");
        next(told, "NodeCreated /watched/a");
        link.expire();
        Check.until(() -> {
            other.create().orSetData().forPath("/watched/b");
            return told.stream().anyMatch(event -> event.endsWith("/watched/b"));
        }, "it is armed in the new session");
    }
}
