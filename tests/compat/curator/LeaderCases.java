import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderLatchListener;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;

/** One leader, whatever happens to it. */
final class LeaderCases extends Cases {
    LeaderCases() {
        add("LeaderLatch has one leader, and the next when it closes", this::latch);
        add("LeaderLatch's leader leads again after its connection was cut", this::latchCut);
        add("LeaderLatch's leader is deposed when its session expires", this::latchExpires);
        add("LeaderSelector gives each its turn, one at a time", this::selectorTurns);
        add("LeaderSelector's leader is interrupted when its session expires", this::selectorExpires);
    }

    private List<LeaderLatch> latches(List<Link> links) throws Exception {
        List<LeaderLatch> latches = new ArrayList<>();
        for (Link link : links) {
            LeaderLatch latch = closed(new LeaderLatch(link.client, "/leader", "l" + latches.size()));
            latch.start();
            latches.add(latch);
            int members = latches.size();
            Check.until(() -> latch.getParticipants().size() == members, "it takes part");
        }
        return latches;
    }

    private static List<LeaderLatch> leading(List<LeaderLatch> latches) {
        return latches.stream().filter(LeaderLatch::hasLeadership).collect(Collectors.toList());
    }

    private void latch() throws Exception {
        List<LeaderLatch> latches = latches(links(3));

        Check.that(latches.get(0).await(RESULT_SECONDS_MAX, TimeUnit.SECONDS), "the first leads");
        Check.equal(List.of(latches.get(0)), leading(latches));
        Check.equal("l0", latches.get(2).getLeader().getId());

        latches.get(0).close();
        Check.that(latches.get(1).await(RESULT_SECONDS_MAX, TimeUnit.SECONDS), "then the second");
        Check.equal(List.of(latches.get(1)), leading(latches));
        Check.equal(2, latches.get(2).getParticipants().size());
    }

    private void latchCut() throws Exception {
        List<Link> links = links(2);
        List<LeaderLatch> latches = latches(links);
        latches.get(0).await();
        BlockingQueue<String> told = new LinkedBlockingQueue<>();
        latches.get(0).addListener(new LeaderLatchListener() {
            @Override
            public void isLeader() {
                told.add("leader");
            }

            @Override
            public void notLeader() {
                told.add("not leader");
            }
        });

        links.get(0).cut();

        Check.equal("not leader", told.poll(RESULT_SECONDS_MAX, TimeUnit.SECONDS));
        Check.until(() -> leading(latches).size() == 1, "one leads");
        Check.until(() -> latches.get(1).getParticipants().size() == 2, "both take part");
    }

    private void latchExpires() throws Exception {
        List<Link> links = links(2);
        List<LeaderLatch> latches = latches(links);
        latches.get(0).await();

        links.get(0).expire();

        Check.that(latches.get(1).await(RESULT_SECONDS_MAX, TimeUnit.SECONDS), "the second leads");
        Check.equal(List.of(latches.get(1)), leading(latches));
        Check.until(() -> latches.get(1).getParticipants().size() == 2, "the first waits again");
    }

    private void selectorTurns() throws Exception {
        AtomicInteger inside = new AtomicInteger();
        AtomicInteger violations = new AtomicInteger();
        List<Integer> turns = Collections.synchronizedList(new ArrayList<>());
        List<Link> links = links(3);
        for (int i = 0; i < links.size(); i++) {
            int who = i;
            LeaderSelector selector = closed(new LeaderSelector(links.get(i).client, "/leader",
                    new LeaderSelectorListenerAdapter() {
                        @Override
                        public void takeLeadership(CuratorFramework client) throws Exception {
                            violations.addAndGet(inside.incrementAndGet() - 1);
                            turns.add(who);
                            Thread.sleep(10);
                            inside.decrementAndGet();
                        }
                    }));
            selector.autoRequeue();
            selector.start();
        }

        Check.until(() -> turns.size() >= 9, "nine turns");
        Check.equal(0, violations.get());
        for (int who = 0; who < 3; who++) {
            Check.that(turns.contains(who), "a turn for " + who);
        }
    }

    private void selectorExpires() throws Exception {
        Link first = link();
        BlockingQueue<String> told = new LinkedBlockingQueue<>();
        LeaderSelector one = closed(new LeaderSelector(first.client, "/leader",
                new LeaderSelectorListenerAdapter() {
                    @Override
                    public void takeLeadership(CuratorFramework client) throws Exception {
                        told.add("one leads");
                        try {
                            Thread.sleep(1000L * RESULT_SECONDS_MAX);
                        } catch (InterruptedException e) {
                            told.add("one is interrupted");
                            throw e;
                        }
                    }
                }));
        one.start();
        Check.equal("one leads", told.poll(RESULT_SECONDS_MAX, TimeUnit.SECONDS));
        BlockingQueue<String> second = new LinkedBlockingQueue<>();
        LeaderSelector two = closed(new LeaderSelector(client(), "/leader",
                new LeaderSelectorListenerAdapter() {
                    @Override
                    public void takeLeadership(CuratorFramework client) {
                        second.add("two leads");
                    }
                }));
        two.start();
        Check.until(() -> two.getParticipants().size() == 2, "two waits");

        first.expire();

        Check.equal("one is interrupted", told.poll(RESULT_SECONDS_MAX, TimeUnit.SECONDS));
        Check.equal("two leads", second.poll(RESULT_SECONDS_MAX, TimeUnit.SECONDS));
    }
}
