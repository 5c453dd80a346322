import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.barriers.DistributedBarrier;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.retry.RetryForever;

/**
 * Curator's barriers, for a test in another language that also has other members.
 *
 * <p>Barriers PORT reads lines "MEMBER ACTION PATH [COUNT]" and prints "MEMBER ACTION true" (or
 * false, or what went wrong) when the action is done. Each member has a client of its own, and does
 * one thing at a time; it ends with its standard input.
 */
public final class Barriers {
    private static final int TIMEOUT_MS = 10_000;
    private static final int RETRY_MS = 50;
    private static final int WAIT_SECONDS_MAX = 60;

    private final int port;
    private final Map<String, CuratorFramework> clients = new HashMap<>();
    private final Map<String, DistributedDoubleBarrier> inside = new HashMap<>();
    private final ExecutorService threads = Executors.newCachedThreadPool();

    private Barriers(int port) {
        this.port = port;
    }

    private synchronized CuratorFramework client(String member) {
        return clients.computeIfAbsent(member, name -> {
            CuratorFramework client = CuratorFrameworkFactory.builder()
                    .connectString("127.0.0.1:" + port)
                    .sessionTimeoutMs(TIMEOUT_MS)
                    .connectionTimeoutMs(TIMEOUT_MS)
                    .retryPolicy(new RetryForever(RETRY_MS))
                    .build();
            client.start();
            return client;
        });
    }

    private synchronized DistributedDoubleBarrier entering(String member, String path, int count) {
        DistributedDoubleBarrier barrier =
                new DistributedDoubleBarrier(client(member), path, count);
        inside.put(member, barrier);
        return barrier;
    }

    private synchronized DistributedDoubleBarrier leaving(String member) {
        return inside.remove(member);
    }

    private boolean act(String[] words) throws Exception {
        String member = words[0];
        String path = words[2];
        switch (words[1]) {
            case "set":
                new DistributedBarrier(client(member), path).setBarrier();
                return true;
            case "remove":
                new DistributedBarrier(client(member), path).removeBarrier();
                return true;
            case "wait":
                return new DistributedBarrier(client(member), path)
                        .waitOnBarrier(WAIT_SECONDS_MAX, TimeUnit.SECONDS);
            case "enter":
                return entering(member, path, Integer.parseInt(words[3]))
                        .enter(WAIT_SECONDS_MAX, TimeUnit.SECONDS);
            case "leave":
                return leaving(member).leave(WAIT_SECONDS_MAX, TimeUnit.SECONDS);
            default:
                throw new IllegalArgumentException(words[1]);
        }
    }

    private void actAndSay(String[] words) {
        String result;
        try {
            result = String.valueOf(act(words));
        } catch (Exception e) {
            result = e.toString();
        }
        synchronized (this) {
            System.out.println(words[0] + " " + words[1] + " " + result);
            System.out.flush();
        }
    }

    private void run() throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = line.split(" ");
            threads.execute(() -> actAndSay(words));
        }
        System.exit(0);
    }

    public static void main(String[] args) throws Exception {
        new Barriers(Integer.parseInt(args[0])).run();
    }
}
