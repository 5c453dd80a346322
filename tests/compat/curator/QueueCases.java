import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.queue.DistributedDelayQueue;
import org.apache.curator.framework.recipes.queue.DistributedIdQueue;
import org.apache.curator.framework.recipes.queue.DistributedPriorityQueue;
import org.apache.curator.framework.recipes.queue.DistributedQueue;
import org.apache.curator.framework.recipes.queue.QueueBuilder;
import org.apache.curator.framework.recipes.queue.QueueConsumer;
import org.apache.curator.framework.recipes.queue.QueueSerializer;
import org.apache.curator.framework.recipes.queue.QueueSharder;
import org.apache.curator.framework.recipes.queue.QueueSharderPolicies;
import org.apache.curator.framework.recipes.queue.SimpleDistributedQueue;
import org.apache.curator.framework.state.ConnectionState;

/** What is put is taken, once, in the order that the queue promises. */
final class QueueCases extends Cases {
    private static final int ITEMS = 50;

    QueueCases() {
        add("DistributedQueue keeps the order of a producer", this::order);
        add("DistributedQueue's consumers share the items, none twice, none lost", this::share);
        add("DistributedQueue with a lock loses nothing when a consumer's session expires", this::expires);
        add("DistributedQueue with a lock loses nothing in cuts", this::cuts);
        add("DistributedQueue puts several items as one, in one znode", this::multi);
        add("DistributedIdQueue removes by id what nobody has taken", this::id);
        add("DistributedPriorityQueue gives the smaller priority first", this::priority);
        add("DistributedDelayQueue gives nothing before its time", this::delay);
        add("SimpleDistributedQueue offers, peeks, polls and takes in order", this::simple);
        add("QueueSharder spreads over queues and loses nothing", this::sharder);
    }

    private static final QueueSerializer<String> TEXT = new QueueSerializer<String>() {
        @Override
        public byte[] serialize(String item) {
            return item.getBytes();
        }

        @Override
        public String deserialize(byte[] bytes) {
            return new String(bytes);
        }
    };

    private static final class Consumer implements QueueConsumer<String> {
        final BlockingQueue<String> taken = new LinkedBlockingQueue<>();

        @Override
        public void consumeMessage(String message) {
            taken.add(message);
        }

        @Override
        public void stateChanged(CuratorFramework client, ConnectionState state) {
        }

        String next() throws Exception {
            return taken.poll(RESULT_SECONDS_MAX, TimeUnit.SECONDS);
        }
    }

    private DistributedQueue<String> queue(CuratorFramework client, Consumer consumer) throws Exception {
        DistributedQueue<String> queue =
                closed(QueueBuilder.builder(client, consumer, TEXT, "/queue").buildQueue());
        queue.start();
        return queue;
    }

    private void order() throws Exception {
        DistributedQueue<String> producer = queue(client(), null);
        for (int i = 0; i < ITEMS; i++) {
            producer.put("item " + i);
        }
        Check.that(producer.flushPuts(RESULT_SECONDS_MAX, TimeUnit.SECONDS), "written");
        Consumer consumer = new Consumer();
        closedOneByOne(client(), consumer);
        for (int i = 0; i < ITEMS; i++) {
            Check.equal("item " + i, consumer.next());
        }
    }

    /** By one thread, so that the order in which items are given is that in which they are seen. */
    private void closedOneByOne(CuratorFramework client, Consumer consumer) throws Exception {
        DistributedQueue<String> queue = closed(QueueBuilder.builder(client, consumer, TEXT, "/queue")
                .executor(Runnable::run).buildQueue());
        queue.start();
    }

    private void share() throws Exception {
        Consumer one = new Consumer();
        Consumer two = new Consumer();
        queue(client(), one);
        queue(client(), two);
        DistributedQueue<String> producer = queue(client(), null);
        for (int i = 0; i < ITEMS; i++) {
            producer.put("item " + i);
        }

        Check.until(() -> one.taken.size() + two.taken.size() >= ITEMS, "all are taken");
        Set<String> all = new HashSet<>(one.taken);
        all.addAll(two.taken);
        Check.equal(ITEMS, all.size());
        Check.equal(ITEMS, one.taken.size() + two.taken.size());
    }

    private void expires() throws Exception {
        Link link = link();
        Set<String> taken = Collections.synchronizedSet(new HashSet<>());
        QueueConsumer<String> consumer = new QueueConsumer<String>() {
            @Override
            public void consumeMessage(String message) {
                taken.add(message);
            }

            @Override
            public void stateChanged(CuratorFramework client, ConnectionState state) {
            }
        };
        DistributedQueue<String> queue = closed(QueueBuilder.builder(link.client, consumer, TEXT, "/queue")
                .lockPath("/lock").buildQueue());
        queue.start();
        DistributedQueue<String> producer = queue(client(), null);
        producer.put("before");
        Check.until(() -> taken.contains("before"), "it works");

        link.expire();
        for (int i = 0; i < ITEMS; i++) {
            producer.put("item " + i);
        }

        Check.until(() -> taken.size() == ITEMS + 1, "all are taken by the new session");
    }

    private void cuts() throws Exception {
        Link link = link();
        Consumer consumer = new Consumer();
        DistributedQueue<String> queue = closed(QueueBuilder.builder(link.client, consumer, TEXT, "/queue")
                .lockPath("/lock").buildQueue());
        queue.start();
        DistributedQueue<String> producer = queue(client(), null);
        for (int i = 0; i < 5; i++) {
            producer.put("item " + i);
            link.cut();
        }
        /* An item of which the lock's creation was acknowledged into a cut stays locked, as Curator
         * takes the lock for another's, until the session ends. */
        link.expire();
        producer.put("item 5");
        Set<String> all = new HashSet<>();
        while (all.size() < 6) {
            String item = consumer.next();
            Check.that(item != null, "all are taken; now " + all);
            all.add(item);
        }
    }

    private void multi() throws Exception {
        DistributedQueue<String> producer = queue(client(), null);
        List<String> items = new ArrayList<>(List.of("a", "b", "c"));
        producer.putMulti(new org.apache.curator.framework.recipes.queue.MultiItem<String>() {
            @Override
            public String nextItem() {
                return items.isEmpty() ? null : items.remove(0);
            }
        });
        Check.that(producer.flushPuts(RESULT_SECONDS_MAX, TimeUnit.SECONDS), "written");
        CuratorFramework client = client();
        Check.equal(1, client.getChildren().forPath("/queue").size());
        Consumer consumer = new Consumer();
        closedOneByOne(client, consumer);
        Check.equal(List.of("a", "b", "c"), List.of(consumer.next(), consumer.next(), consumer.next()));
    }

    private void id() throws Exception {
        DistributedIdQueue<String> producer =
                closed(QueueBuilder.builder(client(), (Consumer) null, TEXT, "/queue").buildIdQueue());
        producer.start();
        producer.put("one", "id-1");
        producer.put("two", "id-2");
        Check.that(producer.flushPuts(RESULT_SECONDS_MAX, TimeUnit.SECONDS), "written");
        Check.equal(1, producer.remove("id-1"));
        Check.equal(0, producer.remove("id-1"));

        Consumer consumer = new Consumer();
        DistributedIdQueue<String> taking =
                closed(QueueBuilder.builder(client(), consumer, TEXT, "/queue").buildIdQueue());
        taking.start();
        Check.equal("two", consumer.next());
    }

    private void priority() throws Exception {
        DistributedPriorityQueue<String> producer = closed(
                QueueBuilder.builder(client(), (Consumer) null, TEXT, "/queue").buildPriorityQueue(0));
        producer.start();
        producer.put("late", 10);
        producer.put("first", -5);
        producer.put("middle", 3);
        Check.that(producer.flushPuts(RESULT_SECONDS_MAX, TimeUnit.SECONDS), "written");

        Consumer consumer = new Consumer();
        DistributedPriorityQueue<String> taking = closed(QueueBuilder
                .builder(client(), consumer, TEXT, "/queue").executor(Runnable::run).buildPriorityQueue(0));
        taking.start();
        Check.equal(List.of("first", "middle", "late"),
                List.of(consumer.next(), consumer.next(), consumer.next()));
    }

    private void delay() throws Exception {
        Consumer consumer = new Consumer();
        DistributedDelayQueue<String> queue = closed(QueueBuilder
                .builder(client(), consumer, TEXT, "/queue").executor(Runnable::run).buildDelayQueue());
        queue.start();
        long begin = System.currentTimeMillis();
        queue.put("later", begin + 1500);
        queue.put("soon", begin + 700);

        Check.equal("soon", consumer.next());
        Check.that(System.currentTimeMillis() >= begin + 700, "not before its time");
        Check.equal("later", consumer.next());
        Check.that(System.currentTimeMillis() >= begin + 1500, "not before its time");
    }

    private void simple() throws Exception {
        SimpleDistributedQueue one = new SimpleDistributedQueue(client(), "/queue");
        SimpleDistributedQueue two = new SimpleDistributedQueue(client(), "/queue");
        Check.equal(null, two.peek());
        for (int i = 0; i < 3; i++) {
            Check.that(one.offer(("item " + i).getBytes()), "offered");
        }
        Check.equal("item 0", new String(two.peek()));
        Check.equal("item 0", new String(two.poll()));
        Check.equal("item 1", new String(two.take()));
        Check.equal("item 2", new String(one.remove()));
        Check.equal(null, two.poll(50, TimeUnit.MILLISECONDS));
        var waiting = start(() -> new String(two.take()));
        one.offer("late".getBytes());
        Check.equal("late", result(waiting));
    }

    private void sharder() throws Exception {
        CuratorFramework client = client();
        ConcurrentLinkedQueue<String> taken = new ConcurrentLinkedQueue<>();
        QueueConsumer<String> consumer = new QueueConsumer<String>() {
            @Override
            public void consumeMessage(String message) {
                taken.add(message);
            }

            @Override
            public void stateChanged(CuratorFramework c, ConnectionState state) {
            }
        };
        QueueSharder<String, DistributedQueue<String>> sharder = closed(new QueueSharder<>(client,
                (c, path) -> QueueBuilder.builder(c, consumer, TEXT, path).buildQueue(),
                "/queues", "/leader", QueueSharderPolicies.builder().build()));
        sharder.start();
        for (int i = 0; i < ITEMS; i++) {
            sharder.getQueue().put("item " + i);
        }

        Check.until(() -> taken.size() == ITEMS, "all are taken");
        Check.equal(ITEMS, new HashSet<>(taken).size());
    }
}
