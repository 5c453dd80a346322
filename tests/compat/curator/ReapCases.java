import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.nodes.PersistentTtlNode;
import org.apache.zookeeper.CreateMode;

/** What the server deletes by itself; on a server that looks for it several times a second. */
final class ReapCases extends Cases {
    private static final long TTL_MS = 700;

    ReapCases() {
        add("a container goes when its last child has gone, and not before", this::container);
        add("a lock's container goes when nobody holds it, and the lock works again", this::lock);
        add("a TTL znode goes when its time is over, and not while it has a child", this::ttl);
        add("PersistentTtlNode stays while its client lives, and goes after it", this::persistentTtl);
    }

    private static void awaitGone(CuratorFramework client, String path) throws Exception {
        Check.until(() -> client.checkExists().forPath(path) == null, path + " goes");
    }

    private void container() throws Exception {
        CuratorFramework client = client();
        client.create().forPath("/stays");
        client.create().withMode(CreateMode.CONTAINER).forPath("/stays/full");
        client.create().forPath("/stays/full/child");
        client.create().withMode(CreateMode.CONTAINER).forPath("/stays/empty");
        client.create().forPath("/stays/empty/child");
        client.delete().forPath("/stays/empty/child");

        awaitGone(client, "/stays/empty");
        Check.that(client.checkExists().forPath("/stays/full/child") != null, "it has a child");
    }

    private void lock() throws Exception {
        CuratorFramework client = client();
        client.create().forPath("/stays");
        InterProcessMutex lock = new InterProcessMutex(client, "/stays/lock");
        for (int round = 0; round < 2; round++) {
            Check.that(lock.acquire(TIMEOUT_MS, TimeUnit.MILLISECONDS), "granted");
            lock.release();
            awaitGone(client, "/stays/lock");
        }
    }

    private void ttl() throws Exception {
        CuratorFramework client = client();
        client.create().forPath("/stays");
        client.create().withTtl(TTL_MS).withMode(CreateMode.PERSISTENT_WITH_TTL).forPath("/stays/a");
        client.create().withTtl(TTL_MS).withMode(CreateMode.PERSISTENT_WITH_TTL).forPath("/stays/b");
        client.create().forPath("/stays/b/child");

        awaitGone(client, "/stays/a");
        Check.that(client.checkExists().forPath("/stays/b/child") != null, "it has a child");
        client.delete().forPath("/stays/b/child");
        awaitGone(client, "/stays/b");
    }

    private void persistentTtl() throws Exception {
        Link link = link();
        CuratorFramework other = client();
        other.create().forPath("/stays");
        PersistentTtlNode node =
                closed(new PersistentTtlNode(link.client, "/stays/node", TTL_MS, "x".getBytes()));
        node.start();
        Check.that(node.waitForInitialCreate(RESULT_SECONDS_MAX, TimeUnit.SECONDS), "created");
        long made = other.checkExists().forPath("/stays/node").getCzxid();
        String touched = "/stays/node/" + PersistentTtlNode.DEFAULT_CHILD_NODE_NAME;
        Check.until(() -> other.checkExists().forPath(touched) != null
                && other.checkExists().forPath(touched).getVersion() >= 5, "five times touched");
        Check.equal(made, other.checkExists().forPath("/stays/node").getCzxid());

        link.close();

        awaitGone(other, "/stays/node");
    }
}
