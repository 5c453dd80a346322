import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.locks.InterProcessLock;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.data.Stat;

/**
 * Curator's clients among others who contend for one lock: contention_test.py says how.
 *
 * <p>Contend PORT lock|rwlock|semaphore|election CONTENDERS TARGET cut|whole. Prints how often each
 * has been inside, a line each.
 */
public final class Contend {
    private static final int TIMEOUT_MS = 40_000;
    private static final int CUT_EVERY_MS = 300;
    private static final int RETRIES_MAX = 100;
    private static final String COUNTER = "/counter";
    private static final String INSIDE = "/inside";
    static final int PERMITS = 2;

    private final String kind;
    private final int target;
    private final AtomicInteger entered = new AtomicInteger();

    private Contend(String kind, int target) {
        this.kind = kind;
        this.target = target;
    }

    public static void main(String[] args) throws Exception {
        Contend contend = new Contend(args[1], Integer.parseInt(args[3]));
        List<Link> links = new ArrayList<>();
        for (int i = 0; i < Integer.parseInt(args[2]); i++) {
            links.add(new Link(Integer.parseInt(args[0]), TIMEOUT_MS, null));
        }
        List<Callable<Integer>> works = links.stream()
                .map(link -> (Callable<Integer>) () ->
                        contend.work(link.client, links.indexOf(link)))
                .collect(Collectors.toList());
        if (args[4].equals("cut")) {
            Thread cutter = new Thread(() -> contend.cut(links));
            cutter.setDaemon(true);
            cutter.start();
        }
        ExecutorService threads = Executors.newFixedThreadPool(works.size());
        for (Future<Integer> done : threads.invokeAll(works)) {
            System.out.println(done.get());
        }
        System.out.flush();
        System.exit(0);
    }

    private void cut(List<Link> links) {
        int seen = 0;
        for (int i = 0;; ) {
            try {
                Thread.sleep(CUT_EVERY_MS);
            } catch (InterruptedException e) {
                return;
            }
            if (entered.get() > seen) { /* Or a slow machine would see nothing but cuts. */
                seen = entered.get();
                links.get(i++ % links.size()).proxy.cut();
            }
        }
    }

    private int work(CuratorFramework client, int number) throws Exception {
        switch (kind) {
            case "lock":
                return rounds(client, new Mutex(client));
            case "rwlock":
                var lock = new InterProcessReadWriteLock(client, "/contended");
                return number % 2 == 0 ? rounds(client, lock.writeLock())
                        : reads(client, lock.readLock());
            case "semaphore":
                return permits(client, number);
            case "election":
                return leads(client, number);
            default:
                throw new IllegalArgumentException(kind);
        }
    }

    /** Of which the place in the queue can be seen. */
    private static final class Mutex extends InterProcessMutex {
        Mutex(CuratorFramework client) {
            super(client, "/contended");
        }

        String place() {
            return getLockPath();
        }
    }

    /** Curator 5.4 fails, once in a while, when the reply to its protected create is cut off. */
    private static void acquire(InterProcessLock lock) throws Exception {
        for (int attempt = 0;; attempt++) {
            try {
                lock.acquire();
                return;
            } catch (IllegalArgumentException e) {
                if (attempt == RETRIES_MAX) {
                    throw e;
                }
            }
        }
    }

    private int rounds(CuratorFramework client, InterProcessLock lock) throws Exception {
        int count = 0;
        for (boolean more = true; more; ) {
            acquire(lock);
            try {
                String place = lock instanceof Mutex ? ((Mutex) lock).place() : null;
                more = inside(client, place);
                count += more ? 1 : 0;
            } finally {
                lock.release();
            }
        }
        return count;
    }

    /**
     * What only the holder does: the counter is written without a look at its version. False when
     * the work is done. Its data: how often, the place in the queue of the last, the last fence.
     */
    private boolean inside(CuratorFramework client, String place) throws Exception {
        String[] data = text(client.getData().forPath(COUNTER)).split(" ");
        int count = Integer.parseInt(data[0]);
        if (count >= target) {
            return false;
        }
        String number = place == null ? data[1] : place.substring(place.length() - 10);
        if (place != null && number.compareTo(data[1]) <= 0) {
            throw new AssertionError(place + " came after " + data[1]);
        }
        client.setData().forPath(COUNTER, bytes((count + 1) + " " + number + " " + data[2]));
        entered.incrementAndGet();
        return true;
    }

    /** Readers see no writer: the counter stands still. */
    private int reads(CuratorFramework client, InterProcessLock lock) throws Exception {
        int count = 0;
        for (boolean more = true; more; count++) {
            acquire(lock);
            try {
                String before = text(client.getData().forPath(COUNTER));
                String after = text(client.getData().forPath(COUNTER));
                Check.equal(before, after);
                more = Integer.parseInt(before.split(" ")[0]) < target;
            } finally {
                lock.release();
            }
        }
        return count;
    }

    private int permits(CuratorFramework client, int number) throws Exception {
        InterProcessSemaphoreV2 semaphore =
                new InterProcessSemaphoreV2(client, "/contended", PERMITS);
        String mine = INSIDE + "/curator-" + number;
        int count = 0;
        for (boolean more = true; more; ) {
            Lease lease = semaphore.acquire();
            try {
                client.create().orSetData().forPath(mine);
                int beside = client.getChildren().forPath(INSIDE).size();
                Check.that(beside <= PERMITS, beside + " inside");
                more = counted(client);
                count += more ? 1 : 0;
                client.delete().quietly().forPath(mine);
            } finally {
                semaphore.returnLease(lease);
            }
        }
        return count;
    }

    /** As inside(), for those who are not alone. */
    private boolean counted(CuratorFramework client) throws Exception {
        while (true) {
            Stat stat = new Stat();
            int count = Integer.parseInt(
                    text(client.getData().storingStatIn(stat).forPath(COUNTER)).split(" ")[0]);
            if (count >= target) {
                return false;
            }
            try {
                client.setData().withVersion(stat.getVersion())
                        .forPath(COUNTER, bytes((count + 1) + " - 0"));
                entered.incrementAndGet();
                return true;
            } catch (KeeperException.BadVersionException e) {
                /* Another one counted. */
            }
        }
    }

    private int leads(CuratorFramework client, int number) throws Exception {
        int count = 0;
        for (boolean more = true; more; ) {
            try (LeaderLatch latch = new LeaderLatch(client, "/contended", "curator-" + number)) {
                latch.start();
                latch.await();
                more = inside(client, null);
                count += more ? 1 : 0;
            }
        }
        return count;
    }

    private static String text(byte[] data) {
        return new String(data, StandardCharsets.US_ASCII);
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.US_ASCII);
    }
}
