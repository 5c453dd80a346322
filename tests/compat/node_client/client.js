// Node's client of ZooKeeper (node-zookeeper-client) against a server: client.js 127.0.0.1:2181. Run
// by node_client_test.py, which starts the server again when it reads "# restart the server" here.
'use strict';

const assert = require('assert');
const zookeeper = require('node-zookeeper-client');

const { ACL, CreateMode, Event, Exception, Id, Permission, State } = zookeeper;
const WAIT_MS = 60000;
const address = process.argv[2];
const open = [];

// --- The client's callbacks as promises.

function asked(client, method, ...args) {
  return new Promise((resolve, reject) => {
    client[method](...args, (error, ...results) => {
      if (error) {
        reject(error);
      } else {
        resolve(results.length > 1 ? results : results[0]);
      }
    });
  });
}

function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not in time: ${what}`)), WAIT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function reaches(client, state) {
  return within(new Promise((resolve) => {
    const listener = (reached) => {
      if (reached === state) {
        client.removeListener('state', listener);
        resolve();
      }
    };
    client.on('state', listener);
  }), state.name);
}

async function connect(path = '') {
  const client = zookeeper.createClient(address + path, { sessionTimeout: 20000, spinDelay: 50 });
  const connected = reaches(client, State.SYNC_CONNECTED);
  client.connect();
  await connected;
  open.push(client);
  return client;
}

async function close(client) {
  const closed = reaches(client, State.DISCONNECTED);
  client.close();
  await closed;
  open.splice(open.indexOf(client), 1);
}

async function fails(code, promise) {
  await assert.rejects(promise, (error) => {
    assert.strictEqual(error.code, code, error.toString());
    return true;
  });
}

// A watcher, and how to wait for its first event.
function watcher() {
  let told;
  const event = new Promise((resolve) => { told = resolve; });
  return { told, event: () => within(event, 'an event') };
}

async function text(client, path) {
  const [data] = await asked(client, 'getData', path);
  return data === undefined ? undefined : data.toString();
}

// --- Cases.

const cases = {
  async 'creates, reads, writes, lists and deletes'() {
    const client = await connect();
    assert.strictEqual(await asked(client, 'create', '/basics', Buffer.from('1')), '/basics');
    let [data, stat] = await asked(client, 'getData', '/basics');
    assert.strictEqual(data.toString(), '1');
    assert.deepStrictEqual([stat.version, stat.dataLength, stat.numChildren], [0, 1, 0]);
    stat = await asked(client, 'setData', '/basics', Buffer.from('two'), 0);
    assert.strictEqual(stat.version, 1);
    await fails(Exception.BAD_VERSION, asked(client, 'setData', '/basics', Buffer.from('3'), 0));
    await asked(client, 'mkdirp', '/basics/a/b/c');
    const [names] = await asked(client, 'getChildren', '/basics/a/b');
    assert.deepStrictEqual(names, ['c']);
    await fails(Exception.NOT_EMPTY, asked(client, 'remove', '/basics'));
    await fails(Exception.NODE_EXISTS, asked(client, 'create', '/basics'));
    for (const path of ['/basics/a/b/c', '/basics/a/b', '/basics/a', '/basics']) {
      await asked(client, 'remove', path);
    }
    assert.strictEqual(await asked(client, 'exists', '/basics'), null);
    await fails(Exception.NO_NODE, asked(client, 'getData', '/basics'));
  },

  async 'works below a chroot'() {
    const whole = await connect();
    await asked(whole, 'create', '/chroot');
    const client = await connect('/chroot');
    assert.strictEqual(await asked(client, 'create', '/a'), '/a');
    const [names] = await asked(whole, 'getChildren', '/chroot');
    assert.deepStrictEqual(names, ['a']);
  },

  async 'loses its ephemerals with its session'() {
    const client = await connect();
    const other = await connect();
    await asked(other, 'create', '/ephemerals');
    const path = await asked(client, 'create', '/ephemerals/s-', null,
      CreateMode.EPHEMERAL_SEQUENTIAL);
    assert.strictEqual(path, '/ephemerals/s-0000000000');
    const stat = await asked(other, 'exists', path);
    assert.deepStrictEqual(stat.ephemeralOwner, client.getSessionId());
    await fails(Exception.NO_CHILDREN_FOR_EPHEMERALS, asked(other, 'create', `${path}/child`));
    const gone = watcher();
    await asked(other, 'exists', path, gone.told);
    await close(client);
    assert.strictEqual((await gone.event()).type, Event.NODE_DELETED);
  },

  async 'commits transactions as one, or not at all'() {
    const client = await connect();
    const results = await asked(client.transaction()
      .create('/multi', Buffer.from('1'))
      .setData('/multi', Buffer.from('2'), 0)
      .check('/multi', 1), 'commit');
    assert.strictEqual(results.length, 3);
    assert.strictEqual(await text(client, '/multi'), '2');
    await fails(Exception.BAD_VERSION, asked(client.transaction()
      .create('/multi/a').remove('/multi/a', 7), 'commit'));
    assert.strictEqual(await asked(client, 'exists', '/multi/a'), null);
  },

  async 'is told by its watches, once each'() {
    const client = await connect();
    const other = await connect();
    const created = watcher();
    assert.strictEqual(await asked(client, 'exists', '/watched', created.told), null);
    await asked(other, 'create', '/watched');
    assert.strictEqual((await created.event()).type, Event.NODE_CREATED);
    let count = 0;
    const changed = watcher();
    const children = watcher();
    await asked(client, 'getData', '/watched', (event) => { count += 1; changed.told(event); });
    await asked(client, 'getChildren', '/watched', children.told);
    await asked(other, 'setData', '/watched', Buffer.from('1'), -1);
    await asked(other, 'setData', '/watched', Buffer.from('2'), -1);
    await asked(other, 'create', '/watched/a');
    const event = await changed.event();
    assert.deepStrictEqual([event.type, event.path], [Event.NODE_DATA_CHANGED, '/watched']);
    assert.strictEqual((await children.event()).type, Event.NODE_CHILDREN_CHANGED);
    assert.strictEqual(count, 1);
  },

  async 'authenticates, reads and sets ACLs, and is kept out by them'() {
    const client = await connect();
    const other = await connect();
    client.addAuthInfo('digest', Buffer.from('ann:secret'));
    await asked(client, 'create', '/closed', Buffer.from('x'), ACL.CREATOR_ALL_ACL,
      CreateMode.PERSISTENT);
    await fails(Exception.NO_AUTH, asked(other, 'getData', '/closed'));
    const [acls] = await asked(client, 'getACL', '/closed');
    assert.deepStrictEqual([acls.length, acls[0].id.scheme, acls[0].permission],
      [1, 'digest', Permission.ALL]);
    await asked(client, 'setACL', '/closed', [new ACL(Permission.READ, new Id('world', 'anyone'))],
      0);
    assert.strictEqual(await text(other, '/closed'), 'x');
    await fails(Exception.NO_AUTH, asked(client, 'setData', '/closed', Buffer.from('y'), -1));
  },

  async 'has 2,000 requests outstanding, answered in their order'() {
    const client = await connect();
    await asked(client, 'create', '/many');
    const order = [];
    const all = [];
    for (let i = 0; i < 1000; i += 1) {
      const data = Buffer.from(String(i));
      all.push(asked(client, 'create', '/many/n-', data, CreateMode.PERSISTENT_SEQUENTIAL)
        .then((path) => order.push(path)));
      all.push(asked(client, 'setData', '/many', data, i).then((stat) => order.push(stat.version)));
    }
    await within(Promise.all(all), '2,000 answers');
    for (let i = 0; i < 1000; i += 1) {
      assert.strictEqual(order[2 * i], `/many/n-${String(i).padStart(10, '0')}`);
      assert.strictEqual(order[2 * i + 1], i + 1);
    }
  },

  async 'keeps session, ephemerals and watches over a restart of the server'() {
    const client = await connect();
    await asked(client, 'create', '/restart', Buffer.from('1'));
    await asked(client, 'create', '/restart/mine', null, CreateMode.EPHEMERAL);
    const session = client.getSessionId().toString('hex');
    const changed = watcher();
    await asked(client, 'getData', '/restart', changed.told);
    const again = reaches(client, State.DISCONNECTED)
      .then(() => reaches(client, State.SYNC_CONNECTED));

    console.log('# restart the server');
    await again;

    assert.strictEqual(client.getSessionId().toString('hex'), session);
    const other = await connect();
    const stat = await asked(other, 'exists', '/restart/mine');
    assert.strictEqual(stat.ephemeralOwner.toString('hex'), session);
    await asked(other, 'setData', '/restart', Buffer.from('2'), 0);
    assert.strictEqual((await changed.event()).type, Event.NODE_DATA_CHANGED);
  },
};

async function main() {
  let failed = 0;
  for (const [name, body] of Object.entries(cases)) {
    try {
      await body();
      console.log(`ok - Node's client ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`not ok - Node's client ${name}\n${error.stack}`);
    }
    for (const client of [...open]) {
      await close(client);
    }
  }
  process.exit(failed === 0 ? 0 : 1);
}

main();
