import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.locks.InterProcessLock;
import org.apache.curator.framework.recipes.locks.InterProcessMultiLock;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreMutex;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.framework.recipes.locks.Revoker;
import org.apache.curator.framework.recipes.shared.SharedCount;

/** Who holds what, and that nobody else does. */
final class LockCases extends Cases {
    private static final int ROUNDS = 5;
    private static final long SOON_MS = 200;

    LockCases() {
        add("InterProcessMutex lets one in at a time", this::mutexExcludes);
        add("InterProcessMutex is reentrant, and its holder's alone to release", this::mutexReenters);
        add("InterProcessMutex excludes while connections are cut", this::mutexUnderCuts);
        add("InterProcessMutex passes on when its holder's session expires", this::mutexExpires);
        add("InterProcessMutex is given up when another revokes it", this::mutexRevoked);
        add("InterProcessReadWriteLock shares reads and excludes writes", this::readWrite);
        add("InterProcessReadWriteLock lets a writer read, and keep reading", this::downgrade);
        add("InterProcessReadWriteLock's writer comes when a reader's session expires", this::readExpires);
        add("InterProcessSemaphoreMutex is not reentrant", this::semaphoreMutex);
        add("InterProcessSemaphoreV2 never gives more leases than it has", this::semaphoreBound);
        add("InterProcessSemaphoreV2 has as many leases as a SharedCount says", this::semaphoreCounted);
        add("InterProcessSemaphoreV2 gives an expired session's lease again", this::semaphoreExpires);
        add("InterProcessMultiLock takes all or nothing", this::multiLock);
    }

    /** Curator 5.4 fails, once in a while, when the reply to its protected create is cut off. */
    private static void acquire(InterProcessLock lock) throws Exception {
        for (int attempt = 0;; attempt++) {
            try {
                lock.acquire();
                return;
            } catch (IllegalArgumentException e) {
                if (attempt == ROUNDS) {
                    throw e;
                }
            }
        }
    }

    /** Enter several times; fail if another is inside. */
    private static Void contend(InterProcessLock lock, AtomicInteger inside, AtomicInteger entered)
            throws Exception {
        for (int round = 0; round < ROUNDS; round++) {
            acquire(lock);
            try {
                Check.equal(1, inside.incrementAndGet());
                Thread.yield();
                inside.decrementAndGet();
                entered.incrementAndGet();
            } finally {
                lock.release();
            }
        }
        return null;
    }

    private void mutexExcludes() throws Exception {
        AtomicInteger inside = new AtomicInteger();
        AtomicInteger entered = new AtomicInteger();
        List<Link> links = links(4);

        inThreads(4, i -> () ->
                contend(new InterProcessMutex(links.get(i).client, "/lock"), inside, entered));

        Check.equal(4 * ROUNDS, entered.get());
        Check.equal(List.of(), links.get(0).client.getChildren().forPath("/lock"));
    }

    private void mutexReenters() throws Exception {
        InterProcessMutex one = new InterProcessMutex(client(), "/lock");
        InterProcessMutex two = new InterProcessMutex(client(), "/lock");

        one.acquire();
        one.acquire();
        one.release();
        Check.that(one.isOwnedByCurrentThread(), "it is still held");
        Check.that(!two.acquire(SOON_MS, TimeUnit.MILLISECONDS), "by one alone");
        Check.fails(IllegalMonitorStateException.class, two::release);
        one.release();
        Check.that(two.acquire(TIMEOUT_MS, TimeUnit.MILLISECONDS), "passed on");
        Check.equal(1, two.getParticipantNodes().size());
    }

    private void mutexUnderCuts() throws Exception {
        AtomicInteger inside = new AtomicInteger();
        AtomicInteger entered = new AtomicInteger();
        List<Link> links = links(3);
        CountDownLatch done = new CountDownLatch(1);
        var cutter = start(() -> {
            int seen = 0;
            for (int i = 0; !done.await(150, TimeUnit.MILLISECONDS);) {
                if (entered.get() > seen) { /* Or a slow machine would see nothing but cuts. */
                    seen = entered.get();
                    links.get(i++ % links.size()).proxy.cut();
                }
            }
            return null;
        });

        inThreads(3, i -> () ->
                contend(new InterProcessMutex(links.get(i).client, "/lock"), inside, entered));
        done.countDown();
        result(cutter);

        Check.equal(3 * ROUNDS, entered.get());
        Check.until(() -> links.get(0).client.getChildren().forPath("/lock").isEmpty(), "no leftovers");
    }

    private void mutexExpires() throws Exception {
        Link holder = link();
        InterProcessMutex held = new InterProcessMutex(holder.client, "/lock");
        InterProcessMutex wanted = new InterProcessMutex(client(), "/lock");
        held.acquire();
        var waiting = start(() -> {
            Check.that(wanted.acquire(TIMEOUT_MS, TimeUnit.MILLISECONDS), "granted");
            wanted.release();
            return true;
        });
        Check.until(() -> wanted.getParticipantNodes().size() == 2, "it waits");

        holder.expire();

        Check.equal(true, result(waiting));
    }

    private void mutexRevoked() throws Exception {
        CuratorFramework one = client();
        InterProcessMutex held = new InterProcessMutex(one, "/lock");
        CountDownLatch asked = new CountDownLatch(1);
        held.makeRevocable(lock -> asked.countDown());
        held.acquire();
        CuratorFramework other = client();
        InterProcessMutex wanted = new InterProcessMutex(other, "/lock");

        Revoker.attemptRevoke(other, wanted.getParticipantNodes().iterator().next());
        Check.that(asked.await(RESULT_SECONDS_MAX, TimeUnit.SECONDS), "the holder is asked");
        held.release();

        Check.that(wanted.acquire(TIMEOUT_MS, TimeUnit.MILLISECONDS), "granted");
    }

    private void readWrite() throws Exception {
        InterProcessReadWriteLock one = new InterProcessReadWriteLock(client(), "/lock");
        InterProcessReadWriteLock two = new InterProcessReadWriteLock(client(), "/lock");
        InterProcessReadWriteLock three = new InterProcessReadWriteLock(client(), "/lock");

        one.readLock().acquire();
        Check.that(two.readLock().acquire(TIMEOUT_MS, TimeUnit.MILLISECONDS), "two readers");
        Check.that(!three.writeLock().acquire(SOON_MS, TimeUnit.MILLISECONDS), "no writer beside");
        one.readLock().release();
        two.readLock().release();
        Check.that(three.writeLock().acquire(TIMEOUT_MS, TimeUnit.MILLISECONDS), "a writer");
        Check.that(!one.readLock().acquire(SOON_MS, TimeUnit.MILLISECONDS), "no reader beside");
        Check.that(!two.writeLock().acquire(SOON_MS, TimeUnit.MILLISECONDS), "no second writer");
    }

    private void downgrade() throws Exception {
        InterProcessReadWriteLock one = new InterProcessReadWriteLock(client(), "/lock");
        InterProcessReadWriteLock two = new InterProcessReadWriteLock(client(), "/lock");

        one.writeLock().acquire();
        Check.that(one.readLock().acquire(TIMEOUT_MS, TimeUnit.MILLISECONDS), "reads as well");
        one.writeLock().release();

        Check.that(two.readLock().acquire(TIMEOUT_MS, TimeUnit.MILLISECONDS), "reads beside");
        Check.that(!two.writeLock().acquire(SOON_MS, TimeUnit.MILLISECONDS), "does not write");
    }

    private void readExpires() throws Exception {
        Link reader = link();
        new InterProcessReadWriteLock(reader.client, "/lock").readLock().acquire();
        InterProcessReadWriteLock.WriteLock writer =
                new InterProcessReadWriteLock(client(), "/lock").writeLock();
        var waiting = start(() -> writer.acquire(TIMEOUT_MS, TimeUnit.MILLISECONDS));
        Check.until(() -> writer.getParticipantNodes().size() == 1
                && reader.client.getChildren().forPath("/lock").size() == 2, "it waits");

        reader.expire();

        Check.equal(true, result(waiting));
    }

    private void semaphoreMutex() throws Exception {
        InterProcessSemaphoreMutex one = new InterProcessSemaphoreMutex(client(), "/lock");
        InterProcessSemaphoreMutex two = new InterProcessSemaphoreMutex(client(), "/lock");

        one.acquire();
        Check.that(!one.acquire(SOON_MS, TimeUnit.MILLISECONDS), "not for itself");
        Check.that(!two.acquire(SOON_MS, TimeUnit.MILLISECONDS), "not for another");
        one.release();
        Check.that(two.acquire(TIMEOUT_MS, TimeUnit.MILLISECONDS), "passed on");
    }

    private void semaphoreBound() throws Exception {
        int leases = 2;
        AtomicInteger inside = new AtomicInteger();
        AtomicInteger most = new AtomicInteger();
        List<Link> links = links(4);

        inThreads(4, i -> () -> {
            InterProcessSemaphoreV2 semaphore =
                    new InterProcessSemaphoreV2(links.get(i).client, "/semaphore", leases);
            for (int round = 0; round < ROUNDS; round++) {
                Lease lease = semaphore.acquire();
                most.accumulateAndGet(inside.incrementAndGet(), Math::max);
                Thread.sleep(5);
                inside.decrementAndGet();
                semaphore.returnLease(lease);
            }
            return null;
        });

        Check.that(most.get() <= leases, most.get() + " leases at once");
        InterProcessSemaphoreV2 semaphore =
                new InterProcessSemaphoreV2(links.get(0).client, "/semaphore", leases);
        Check.equal(leases, semaphore.acquire(leases, TIMEOUT_MS, TimeUnit.MILLISECONDS).size());
        Check.equal(null, semaphore.acquire(SOON_MS, TimeUnit.MILLISECONDS));
    }

    private void semaphoreCounted() throws Exception {
        CuratorFramework client = client();
        SharedCount count = closed(new SharedCount(client, "/count", 1));
        count.start();
        InterProcessSemaphoreV2 semaphore = new InterProcessSemaphoreV2(client(), "/semaphore", count);

        semaphore.acquire();
        Check.equal(null, semaphore.acquire(SOON_MS, TimeUnit.MILLISECONDS));
        count.setCount(3);
        Check.equal(2, semaphore.acquire(2, TIMEOUT_MS, TimeUnit.MILLISECONDS).size());
        Check.equal(3, semaphore.getParticipantNodes().size());
    }

    private void semaphoreExpires() throws Exception {
        Link holder = link();
        new InterProcessSemaphoreV2(holder.client, "/semaphore", 1).acquire();
        InterProcessSemaphoreV2 other = new InterProcessSemaphoreV2(client(), "/semaphore", 1);
        var waiting = start(() -> other.acquire(TIMEOUT_MS, TimeUnit.MILLISECONDS));
        Check.until(() -> holder.client.getChildren().forPath("/semaphore/leases").size() == 2, "it waits");

        holder.expire();

        Check.that(result(waiting) != null, "the lease is given again");
    }

    private void multiLock() throws Exception {
        CuratorFramework client = client();
        InterProcessMultiLock all = new InterProcessMultiLock(client, Arrays.asList("/a", "/b", "/c"));
        InterProcessMutex b = new InterProcessMutex(client(), "/b");
        InterProcessMutex c = new InterProcessMutex(client(), "/c");

        b.acquire();
        Check.that(!all.acquire(SOON_MS, TimeUnit.MILLISECONDS), "not while one is held");
        Check.that(c.acquire(TIMEOUT_MS, TimeUnit.MILLISECONDS), "and the others were given back");
        c.release();
        b.release();
        Check.that(all.acquire(TIMEOUT_MS, TimeUnit.MILLISECONDS), "all of them");
        Check.that(!c.acquire(SOON_MS, TimeUnit.MILLISECONDS), "and each");
        all.release();
        Check.that(c.acquire(TIMEOUT_MS, TimeUnit.MILLISECONDS), "given back");
    }
}
