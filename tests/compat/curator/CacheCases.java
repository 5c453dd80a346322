import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.cache.ChildData;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.CuratorCacheListener;
import org.apache.curator.framework.recipes.cache.NodeCache;
import org.apache.curator.framework.recipes.cache.PathChildrenCache;
import org.apache.curator.framework.recipes.cache.TreeCache;
import org.apache.curator.framework.recipes.cache.TreeCacheEvent;

/** Copies of a part of the tree, which follow it, cuts and expiries or not. */
@SuppressWarnings("deprecation")
final class CacheCases extends Cases {
    CacheCases() {
        add("NodeCache follows a znode that comes, changes and goes", this::nodeCache);
        add("NodeCache has missed nothing after a cut and an expiry", this::nodeCacheReconnects);
        add("PathChildrenCache tells of each child, in order", this::childrenCache);
        add("PathChildrenCache has missed nothing after a cut and an expiry", this::childrenReconnects);
        add("TreeCache follows a subtree", this::treeCache);
        add("TreeCache has missed nothing after a cut and an expiry", this::treeReconnects);
        add("CuratorCache tells of each change, in order, by a persistent watch", this::curatorCache);
        add("CuratorCache has missed nothing after cuts and an expiry", this::curatorReconnects);
        add("CuratorCache of one znode does not see those below it", this::curatorSingle);
        add("CuratorCache follows 1,000 znodes made while its connection is cut", this::curatorMany);
    }

    private static String text(byte[] data) {
        return data == null ? null : new String(data);
    }

    private static String text(ChildData data) {
        return data == null ? null : text(data.getData());
    }

    private NodeCache nodeCache(CuratorFramework client) throws Exception {
        NodeCache cache = closed(new NodeCache(client, "/node"));
        cache.start(true);
        return cache;
    }

    private void nodeCache() throws Exception {
        NodeCache cache = nodeCache(client());
        CuratorFramework other = client();
        Check.equal(null, cache.getCurrentData());

        other.create().forPath("/node", "1".getBytes());
        Check.until(() -> "1".equals(text(cache.getCurrentData())), "created");
        other.setData().forPath("/node", "2".getBytes());
        Check.until(() -> "2".equals(text(cache.getCurrentData())), "changed");
        other.delete().forPath("/node");
        Check.until(() -> cache.getCurrentData() == null, "deleted");
    }

    private void nodeCacheReconnects() throws Exception {
        Link link = link();
        NodeCache cache = nodeCache(link.client);
        CuratorFramework other = client();
        int seen = link.states.size();

        link.proxy.down();
        Check.until(() -> link.states.size() > seen, "it is told");
        other.create().forPath("/node", "1".getBytes());
        link.proxy.up();
        Check.until(() -> "1".equals(text(cache.getCurrentData())), "created meanwhile");
        link.expire();
        other.setData().forPath("/node", "2".getBytes());
        Check.until(() -> "2".equals(text(cache.getCurrentData())), "changed");
    }

    private void childrenCache() throws Exception {
        CuratorFramework client = client();
        PathChildrenCache cache = closed(new PathChildrenCache(client, "/parent", true));
        BlockingQueue<String> told = new LinkedBlockingQueue<>();
        cache.getListenable().addListener((c, event) -> {
            if (!event.getType().name().startsWith("CONNECTION")) {
                told.add(event.getType()
                        + (event.getData() == null ? "" : " " + event.getData().getPath()));
            }
        });
        cache.start(PathChildrenCache.StartMode.POST_INITIALIZED_EVENT);
        Check.equal("INITIALIZED", told.poll(RESULT_SECONDS_MAX, TimeUnit.SECONDS));
        CuratorFramework other = client();

        other.create().forPath("/parent/a");
        Check.equal("CHILD_ADDED /parent/a", told.poll(RESULT_SECONDS_MAX, TimeUnit.SECONDS));
        other.setData().forPath("/parent/a", "x".getBytes());
        Check.equal("CHILD_UPDATED /parent/a", told.poll(RESULT_SECONDS_MAX, TimeUnit.SECONDS));
        Check.equal("x", text(cache.getCurrentData("/parent/a")));
        other.delete().forPath("/parent/a");
        Check.equal("CHILD_REMOVED /parent/a", told.poll(RESULT_SECONDS_MAX, TimeUnit.SECONDS));
    }

    private void childrenReconnects() throws Exception {
        Link link = link();
        PathChildrenCache cache = closed(new PathChildrenCache(link.client, "/parent", true));
        cache.start(PathChildrenCache.StartMode.BUILD_INITIAL_CACHE);
        CuratorFramework other = client();
        int seen = link.states.size();

        link.proxy.down();
        Check.until(() -> link.states.size() > seen, "it is told");
        other.create().forPath("/parent/a", "1".getBytes());
        link.proxy.up();
        Check.until(() -> "1".equals(text(cache.getCurrentData("/parent/a"))), "created meanwhile");
        link.expire();
        other.create().forPath("/parent/b", "2".getBytes());
        Check.until(() -> "2".equals(text(cache.getCurrentData("/parent/b"))), "created");
    }

    private TreeCache treeCache(CuratorFramework client) throws Exception {
        TreeCache cache = closed(new TreeCache(client, "/tree"));
        CountDownLatch initialized = new CountDownLatch(1);
        cache.getListenable().addListener((c, event) -> {
            if (event.getType() == TreeCacheEvent.Type.INITIALIZED) {
                initialized.countDown();
            }
        });
        cache.start();
        Check.that(initialized.await(RESULT_SECONDS_MAX, TimeUnit.SECONDS), "initialized");
        return cache;
    }

    private void treeCache() throws Exception {
        CuratorFramework other = client();
        other.create().creatingParentsIfNeeded().forPath("/tree/a/b", "1".getBytes());
        TreeCache cache = treeCache(client());
        Check.equal("1", text(cache.getCurrentData("/tree/a/b")));

        other.create().creatingParentsIfNeeded().forPath("/tree/a/c/d", "2".getBytes());
        Check.until(() -> "2".equals(text(cache.getCurrentData("/tree/a/c/d"))), "created");
        other.delete().deletingChildrenIfNeeded().forPath("/tree/a/c");
        Check.until(() -> cache.getCurrentData("/tree/a/c") == null, "deleted");
        Check.equal(Map.of(), cache.getCurrentChildren("/tree/a/b"));
    }

    private void treeReconnects() throws Exception {
        Link link = link();
        CuratorFramework other = client();
        other.create().creatingParentsIfNeeded().forPath("/tree/a", "1".getBytes());
        TreeCache cache = treeCache(link.client);
        int seen = link.states.size();

        link.proxy.down();
        Check.until(() -> link.states.size() > seen, "it is told");
        other.create().creatingParentsIfNeeded().forPath("/tree/b/c", "2".getBytes());
        other.delete().forPath("/tree/a");
        link.proxy.up();
        Check.until(() -> "2".equals(text(cache.getCurrentData("/tree/b/c")))
                && cache.getCurrentData("/tree/a") == null, "both happened meanwhile");
        link.expire();
        other.setData().forPath("/tree/b/c", "3".getBytes());
        Check.until(() -> "3".equals(text(cache.getCurrentData("/tree/b/c"))), "changed");
    }

    private CuratorCache curatorCache(CuratorFramework client, BlockingQueue<String> told,
            CuratorCache.Options... options) throws Exception {
        CuratorCache cache = closed(CuratorCache.build(client, "/tree", options));
        CountDownLatch initialized = new CountDownLatch(1);
        cache.listenable().addListener(CuratorCacheListener.builder()
                .forCreates(data -> told.add("created " + data.getPath()))
                .forChanges((before, after) -> told.add("changed " + after.getPath()))
                .forDeletes(data -> told.add("deleted " + data.getPath()))
                .forInitialized(initialized::countDown)
                .build());
        cache.start();
        Check.that(initialized.await(RESULT_SECONDS_MAX, TimeUnit.SECONDS), "initialized");
        return cache;
    }

    private void curatorCache() throws Exception {
        BlockingQueue<String> told = new LinkedBlockingQueue<>();
        CuratorFramework other = client();
        other.create().forPath("/tree");
        curatorCache(client(), told);
        Check.equal("created /tree", told.poll(RESULT_SECONDS_MAX, TimeUnit.SECONDS));

        other.create().forPath("/tree/a");
        Check.equal("created /tree/a", told.poll(RESULT_SECONDS_MAX, TimeUnit.SECONDS));
        other.setData().forPath("/tree/a", "x".getBytes());
        Check.equal("changed /tree/a", told.poll(RESULT_SECONDS_MAX, TimeUnit.SECONDS));
        other.create().forPath("/tree/a/b");
        Check.equal("created /tree/a/b", told.poll(RESULT_SECONDS_MAX, TimeUnit.SECONDS));
        other.delete().deletingChildrenIfNeeded().forPath("/tree/a");
        Check.equal("deleted /tree/a/b", told.poll(RESULT_SECONDS_MAX, TimeUnit.SECONDS));
        Check.equal("deleted /tree/a", told.poll(RESULT_SECONDS_MAX, TimeUnit.SECONDS));
    }

    private void curatorReconnects() throws Exception {
        Link link = link();
        CuratorFramework other = client();
        other.create().forPath("/tree");
        CuratorCache cache = curatorCache(link.client, new LinkedBlockingQueue<>());

        for (int i = 0; i < 3; i++) {
            String path = "/tree/n" + i;
            int seen = link.states.size();
            link.proxy.down();
            Check.until(() -> link.states.size() > seen, "it is told");
            other.create().forPath(path, "x".getBytes());
            link.proxy.up();
            Check.until(() -> "x".equals(text(cache.get(path).orElse(null))), "created meanwhile");
        }
        link.expire();
        other.setData().forPath("/tree/n0", "y".getBytes());
        other.delete().forPath("/tree/n1");
        Check.until(() -> "y".equals(text(cache.get("/tree/n0").orElse(null)))
                && cache.get("/tree/n1").isEmpty(), "changed and deleted");
    }

    private void curatorSingle() throws Exception {
        BlockingQueue<String> told = new LinkedBlockingQueue<>();
        CuratorFramework other = client();
        curatorCache(client(), told, CuratorCache.Options.SINGLE_NODE_CACHE);

        other.create().forPath("/tree");
        Check.equal("created /tree", told.poll(RESULT_SECONDS_MAX, TimeUnit.SECONDS));
        other.create().forPath("/tree/a");
        other.setData().forPath("/tree", "x".getBytes());
        Check.equal("changed /tree", told.poll(RESULT_SECONDS_MAX, TimeUnit.SECONDS));
    }

    private void curatorMany() throws Exception {
        int count = 1000;
        Link link = link();
        CuratorFramework other = client();
        other.create().forPath("/tree");
        CuratorCache cache = curatorCache(link.client, new LinkedBlockingQueue<>());

        for (int i = 0; i < count; i++) {
            other.create().inBackground().forPath("/tree/n" + i, ("data " + i).getBytes());
            if (i % 250 == 100) {
                link.proxy.cut();
            }
        }

        Check.until(() -> cache.size() == count + 1, "all are there");
        Map<String, String> found = new TreeMap<>();
        cache.stream().forEach(data -> found.put(data.getPath(), text(data)));
        for (int i = 0; i < count; i++) {
            Check.equal("data " + i, found.get("/tree/n" + i));
        }
        Check.equal(List.of(), other.getChildren().forPath("/tree/n0"));
    }
}
