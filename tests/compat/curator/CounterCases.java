import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.atomic.CachedAtomicLong;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicInteger;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicValue;
import org.apache.curator.framework.recipes.atomic.PromotedToLock;
import org.apache.curator.framework.recipes.barriers.DistributedBarrier;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.apache.curator.framework.recipes.shared.SharedCountListener;
import org.apache.curator.framework.recipes.shared.SharedCountReader;
import org.apache.curator.framework.recipes.shared.SharedValue;
import org.apache.curator.framework.recipes.shared.VersionedValue;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryNTimes;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;

/** Values that several share, and barriers that several meet at. */
final class CounterCases extends Cases {
    private static final int EACH = 20;
    private static final RetryNTimes RETRY = new RetryNTimes(1000, 1);

    CounterCases() {
        add("SharedCount is seen by all, and set by one of two who try", this::sharedCount);
        add("SharedCount is current again after a cut and an expiry", this::sharedCountReconnects);
        add("SharedValue is seen by all", this::sharedValue);
        add("DistributedAtomicLong counts every addition, optimistically", this::atomicLong);
        add("DistributedAtomicLong counts every addition, with a lock", this::atomicLongLocked);
        add("DistributedAtomicLong loses no addition while connections are cut", this::atomicCuts);
        add("DistributedAtomicLong and callers of counter.add add to one number", this::atomicAndRecipe);
        add("DistributedAtomicInteger adds, subtracts and compares", this::atomicInteger);
        add("DistributedAtomicValue compares and sets", this::atomicValue);
        add("CachedAtomicLong hands out each number once", this::cachedAtomic);
        add("DistributedBarrier holds all until it is removed", this::barrier);
        add("DistributedDoubleBarrier lets all in together, and out together", this::doubleBarrier);
    }

    private SharedCount sharedCount(CuratorFramework client) throws Exception {
        SharedCount count = closed(new SharedCount(client, "/count", 7));
        count.start();
        return count;
    }

    private static BlockingQueue<Integer> counts(SharedCount count) {
        BlockingQueue<Integer> seen = new LinkedBlockingQueue<>();
        count.addListener(new SharedCountListener() {
            @Override
            public void countHasChanged(SharedCountReader reader, int value) {
                seen.add(value);
            }

            @Override
            public void stateChanged(CuratorFramework client, ConnectionState state) {
            }
        });
        return seen;
    }

    private void sharedCount() throws Exception {
        SharedCount one = sharedCount(client());
        SharedCount two = sharedCount(client());
        BlockingQueue<Integer> seen = counts(two);
        Check.equal(7, two.getCount());
        VersionedValue<Integer> before = one.getVersionedValue();

        Check.that(one.trySetCount(before, 8), "first");
        Check.until(() -> Integer.valueOf(8).equals(seen.poll()), "told of what was set");
        Check.that(!one.trySetCount(before, 9), "not with a version that has passed");
        Check.equal(8, two.getCount());
    }

    private void sharedCountReconnects() throws Exception {
        Link link = link();
        SharedCount one = sharedCount(link.client);
        BlockingQueue<Integer> seen = counts(one);
        SharedCount two = sharedCount(client());

        link.cut();
        two.setCount(10);
        Check.until(() -> Integer.valueOf(10).equals(seen.poll()), "told of what was set");
        link.expire();
        two.setCount(11);
        Check.until(() -> Integer.valueOf(11).equals(seen.poll()), "told of what was set");
        Check.equal(11, one.getCount());
    }

    private void sharedValue() throws Exception {
        SharedValue one = closed(new SharedValue(client(), "/value", "seed".getBytes()));
        SharedValue two = closed(new SharedValue(client(), "/value", "seed".getBytes()));
        one.start();
        two.start();

        one.setValue("new".getBytes());

        Check.until(() -> new String(two.getValue()).equals("new"), "seen");
    }

    private static Void increment(DistributedAtomicLong number) throws Exception {
        for (int i = 0; i < EACH; i++) {
            Check.that(number.increment().succeeded(), "incremented");
        }
        return null;
    }

    private void atomicLong() throws Exception {
        List<Link> links = links(3);
        inThreads(3, i -> () ->
                increment(new DistributedAtomicLong(links.get(i).client, "/number", RETRY)));
        Check.equal(3L * EACH, new DistributedAtomicLong(client(), "/number", RETRY).get().postValue());
    }

    private void atomicLongLocked() throws Exception {
        List<Link> links = links(3);
        PromotedToLock promoted = PromotedToLock.builder().lockPath("/lock").retryPolicy(RETRY).build();
        RetryNTimes once = new RetryNTimes(1, 1);
        inThreads(3, i -> () ->
                increment(new DistributedAtomicLong(links.get(i).client, "/number", once, promoted)));
        Check.equal(3L * EACH, new DistributedAtomicLong(client(), "/number", RETRY).get().postValue());
    }

    /** A set whose reply was lost is tried again by Curator, and counts twice: so at least. */
    private void atomicCuts() throws Exception {
        List<Link> links = links(2);
        var cutter = start(() -> {
            while (!Thread.currentThread().isInterrupted()) {
                Thread.sleep(200);
                links.get(0).cut();
            }
            return null;
        });

        inThreads(2, i -> () ->
                increment(new DistributedAtomicLong(links.get(i).client, "/number", RETRY)));
        cutter.cancel(true);

        long counted = new DistributedAtomicLong(client(), "/number", RETRY).get().postValue();
        Check.that(counted >= 2L * EACH, counted + " were counted");
    }

    /** A recipe needs the whole path: it knows nothing of Curator's namespaces. */
    private Void callAdd(CuratorFramework client) throws Exception {
        ZooKeeper zooKeeper = client.getZookeeperClient().getZooKeeper();
        byte[] arguments = ("{\"path\":\"/" + namespace + "/number\",\"layout\":\"long\"}").getBytes();
        for (int i = 0; i < EACH; i++) {
            String call = zooKeeper.create("/zookeeper/calls/counter.add-", arguments,
                    ZooDefs.Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL_SEQUENTIAL);
            String answer = new String(zooKeeper.getData(call, false, null));
            Check.that(answer.startsWith("{\"state\":\"done\""), answer);
            zooKeeper.delete(call, -1);
        }
        return null;
    }

    private void atomicAndRecipe() throws Exception {
        List<Link> links = links(4);
        inThreads(4, i -> () -> i % 2 == 0
                ? increment(new DistributedAtomicLong(links.get(i).client, "/number", RETRY))
                : callAdd(links.get(i).client));
        Check.equal(4L * EACH, new DistributedAtomicLong(client(), "/number", RETRY).get().postValue());
    }

    private void atomicInteger() throws Exception {
        DistributedAtomicInteger number = new DistributedAtomicInteger(client(), "/number", RETRY);
        Check.that(number.initialize(5), "initialized");
        Check.that(!number.initialize(6), "once");
        Check.equal(8, number.add(3).postValue());
        Check.equal(8, number.subtract(2).preValue());
        Check.that(number.compareAndSet(6, 60).succeeded(), "equal");
        Check.that(!number.compareAndSet(6, 61).succeeded(), "not equal");
        number.forceSet(-1);
        Check.equal(-1, number.get().postValue());
    }

    private void atomicValue() throws Exception {
        DistributedAtomicValue value = new DistributedAtomicValue(client(), "/value", RETRY);
        Check.that(value.trySet("a".getBytes()).succeeded(), "set");
        Check.that(value.compareAndSet("a".getBytes(), "b".getBytes()).succeeded(), "equal");
        Check.that(!value.compareAndSet("a".getBytes(), "c".getBytes()).succeeded(), "not equal");
        Check.equal("b", new String(value.get().postValue()));
    }

    private void cachedAtomic() throws Exception {
        CachedAtomicLong one =
                new CachedAtomicLong(new DistributedAtomicLong(client(), "/number", RETRY), 10);
        CachedAtomicLong two =
                new CachedAtomicLong(new DistributedAtomicLong(client(), "/number", RETRY), 10);
        Set<Long> numbers = new HashSet<>();
        for (int i = 0; i < EACH; i++) {
            numbers.add(one.next().postValue());
            numbers.add(two.next().postValue());
        }
        Check.equal(2 * EACH, numbers.size());
    }

    private void barrier() throws Exception {
        DistributedBarrier owner = new DistributedBarrier(client(), "/barrier");
        owner.setBarrier();
        List<Link> links = links(2);
        DistributedBarrier first = new DistributedBarrier(links.get(0).client, "/barrier");
        Check.that(!first.waitOnBarrier(100, TimeUnit.MILLISECONDS), "it holds");
        var waiting = List.of(
                start(() -> first.waitOnBarrier(TIMEOUT_MS, TimeUnit.MILLISECONDS)),
                start(() -> new DistributedBarrier(links.get(1).client, "/barrier")
                        .waitOnBarrier(TIMEOUT_MS, TimeUnit.MILLISECONDS)));

        owner.removeBarrier();

        Check.equal(true, result(waiting.get(0)));
        Check.equal(true, result(waiting.get(1)));
    }

    private void doubleBarrier() throws Exception {
        int members = 3;
        List<Link> links = links(members);
        AtomicInteger arriving = new AtomicInteger();
        AtomicInteger leaving = new AtomicInteger();

        inThreads(members, i -> () -> {
            DistributedDoubleBarrier barrier =
                    new DistributedDoubleBarrier(links.get(i).client, "/barrier", members);
            arriving.incrementAndGet();
            Check.that(barrier.enter(TIMEOUT_MS, TimeUnit.MILLISECONDS), "in");
            Check.equal(members, arriving.get());
            leaving.incrementAndGet();
            Check.that(barrier.leave(TIMEOUT_MS, TimeUnit.MILLISECONDS), "out");
            Check.equal(members, leaving.get());
            return null;
        });
    }
}
