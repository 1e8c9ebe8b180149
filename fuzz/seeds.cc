// databridge-fuzz-seeds DIR: writes a first corpus, DIR/NAME/*, for each fuzzer that needs
// well-formed input to get far. It is made from the random values of the property tests and from
// the examples.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/check.h"
#include "cluster/request.h"
#include "flow/partition.h"
#include "flow/processors/tail_places.h"
#include "flow/saved.h"
#include "model/random_nouns.h"
#include "model/token_file.h"
#include "platform/announcement.h"
#include "platform/certificate_authority.h"
#include "platform/etcd_json.h"
#include "platform/frame.h"
#include "raft/codec.h"
#include "state/state.h"

namespace {

using namespace databridge;  // A program's main file: nothing else is here.

class Seeds {
 public:
  explicit Seeds(std::filesystem::path root) : root_(std::move(root)) {}

  void put(const char* name, BytesView bytes) {
    std::filesystem::create_directories(root_ / name);
    std::ofstream(root_ / name / ("seed-" + std::to_string(++count_)), std::ios::binary) << bytes;
  }

 private:
  std::filesystem::path root_;
  int count_ = 0;
};

Bytes without_seal(const Bytes& bytes, size_t magic = 0) {
  return bytes.substr(magic, bytes.size() - magic - 8);
}

void nouns(Seeds& seeds) {
  RandomNouns nouns(1);
  for (size_t kind = 0; kind < std::variant_size_v<CommandBody>; ++kind) {
    seeds.put("command", encode(Command{nouns.command_body(kind), 1, nouns.request(), "key"}));
    cluster::Request request;
    request.body = cluster::Change{nouns.command_body(kind)};
    seeds.put("request", encode(request));
  }
  for (size_t kind = 0; kind < std::variant_size_v<Message>; ++kind) {
    const Bytes message = encode(nouns.message(kind));
    seeds.put("message", message);
    seeds.put("frame", platform::encode_frame(platform::FrameKind::message, message));
  }
  env::Greeting greeting;
  greeting.incarnation = Incarnation{1};
  greeting.start = 2;
  greeting.device = 3;
  greeting.inode = 4;
  greeting.log = {5, Incarnation{6}, 7, 5, 8, 7};
  seeds.put("frame", platform::encode_greeting(greeting));
  seeds.put("frame", platform::encode_frame(platform::FrameKind::proof, Bytes(32, 'p')));
  seeds.put("frame", platform::encode_greeting(greeting, Bytes(16, 'n')));
  seeds.put("frame", platform::encode_frame(platform::FrameKind::reaped,
                                            platform::encode_greeting(greeting)));
}

void states(Seeds& seeds) {
  State state;
  RandomNouns nouns(2);
  const auto apply = [&](CommandBody body) {
    state.apply(state.version() + 1, Command{std::move(body), 0, {}, ""});
  };
  MemberInfo member = nouns.info();
  member.incarnation = Incarnation{7};
  member.node = NodeId("n");
  apply(AdmitMember{member});
  ProcessorSpec spec;
  spec.id = Uuid{1, 2};
  spec.name = spec.type = "external";
  apply(AddProcessor{spec});
  const Assignment* assignment = state.assignments().find(spec.id);
  if (assignment != nullptr) apply(Assign{spec.id, assignment->epoch, member.incarnation, ""});
  apply(SetConfig{"key", "{\"a\":1}", {}});
  seeds.put("state", without_seal(Bytes(state.snapshot().joined().view()), 19));
  seeds.put("backup", without_seal(state.backup(), 20));
}

void records(Seeds& seeds) {
  flow::ProcessorRecord record;
  record.epoch = {1, 9};
  record.sequences[Uuid{1, 2}] = 3;
  record.saved.history.add({1, 9}, 4, Incarnation{7});
  record.saved.state = "state";
  seeds.put("record", Bytes(1, 0) + without_seal(encode(record.saved)));
  seeds.put("record", Bytes(1, 1) + without_seal(encode(record)));
  flow::Place place;
  place.key = {1, 2, 3};
  place.path = "/log/a";
  place.offset = 4;
  seeds.put("record", Bytes(1, 5) + without_seal(flow::Places{"host", "/log/a", {place}}.save()));

  raft::Message message;
  message.kind = raft::Message::Kind::append;
  message.hash = 77;
  message.entries = {{1, 1, raft::Entry::Kind::command, raft::Payload("data")}};
  seeds.put("raft", raft::encode(message));
  message.kind = raft::Message::Kind::snapshot_chunk;
  message.configuration.voters = {1, 2, 3};
  seeds.put("raft", raft::encode(message));
  Bytes former = raft::encode(message);  // Without a hash.
  former.resize(former.size() - 8);
  seeds.put("raft", former);
  message.kind = raft::Message::Kind::append_reply;
  message.reject = message.older_copy = true;
  seeds.put("raft", raft::encode(message));
  seeds.put("raft", raft::encode_snapshot_head({5, 2, {{1, 2}, {3}}, {}, 77}));
  seeds.put("raft", raft::encode_entry(message.entries[0]));
  const Bytes hard = raft::encode_hard_state({1, 1, 0});
  seeds.put("raft", hard);
  // A file with a head, the list of older files (none), and a block.
  seeds.put("segment",
            Bytes{4, 1, 0, 1, 0, 0} + Bytes{2, 1, 0, 1, 0, 0} + Bytes{2, 1, 3, 2, 0, 1} + "abc");
  seeds.put("raft_log", Bytes{0, 0, static_cast<char>(hard.size()), 0} + hard + Bytes{5, 1, 2, 1} +
                            "ab" + Bytes{5, 1, 1, 1} + "c");
}

Bytes part(const Bytes& bytes) {
  return Bytes{static_cast<char>(bytes.size()), static_cast<char>(bytes.size() >> 8)} + bytes;
}

// Deltas with an operation of each kind, a base, and a chunk.
void deltas(Seeds& seeds) {
  const Uuid processor{1, 1}, in{2, 1}, out{2, 2};
  const flow::Content large{{{0, 8}, flow::ContentId::kLarge | 5}, 0, 70000};
  const Lsn first{{0, 9}, 1}, second{{0, 9}, 2};
  flow::DeltaWriter writer({processor, first, {}, {}}, 1024);
  writer.fence({in, {0, 7}, {0, 6}});
  writer.enqueue(in, {0, 7}, 1);
  const flow::Content here = writer.file({3, 1}, {{"a", "1"}, {"b", ""}}, "first");
  writer.file({3, 2}, {}, large);
  writer.emit(out, 1);
  writer.file({3, 4}, {}, here);
  writer.file({3, 5}, {}, flow::Content{{{0, 5}, 2}, 100, 7});
  writer.state("state");
  const Bytes one = writer.finish().value();
  flow::Partition partition(processor);
  CHECK(partition.apply(flow::decode_delta(one).value()).has_value());
  partition.settle(first);

  flow::DeltaWriter next({processor, second, first, first}, 1024);
  next.consume({in, {{1, 1, partition.queued(in).bytes - flow::kFileBytes - large.length}}});
  next.delivered({out, {0, 9}, 1, flow::kFileBytes + 5});
  next.erase({out});
  const Bytes two = next.finish().value();
  CHECK(partition.apply(flow::decode_delta(two).value()).has_value());
  for (const Bytes& delta : {one, two}) seeds.put("delta", Bytes(1, 0) + delta);
  seeds.put("delta", Bytes(1, 1) + encode(flow::ChunkView{large.id, 3, 0, "abc"}));
  seeds.put("partition", part("") + part(one) + part(two));
  seeds.put("partition", part(partition.base()) + part(two));
  partition.settle(second);
  seeds.put("partition", part(partition.base()));
}

void sightings(Seeds& seeds) {
  const Sighting node{{"10.0.1.1", 8090}, NodeId("n"), Incarnation{7}, ClusterId("c")};
  for (const char* token : {"", "a token of the cluster"}) {
    Bytes announcement = platform::encode_announcement({node, 1}, token);
    if (*token == '\0') announcement.resize(announcement.size() - 4);  // The checksum.
    seeds.put("announcement", announcement);
  }
  const std::string value = platform::etcd_value(node);
  seeds.put("discovery", value);
  seeds.put("discovery", R"({"header":{"revision":"42"},"kvs":[{"key":"a","value":")" +
                             platform::to_base64(value) + R"("}],"count":"1"})");
  seeds.put("discovery", R"({"result":{"header":{},"ID":"7","TTL":"10"}})");
  seeds.put("discovery", R"({"result":{"events":[{"type":"DELETE"}],"canceled":true}})");
  // An answer with one SRV record for the name "a".
  seeds.put("discovery", Bytes("\x00\x01\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00"
                               "\x01"
                               "a\x00\x00\x21\x00\x01"
                               "\xc0\x0c\x00\x21\x00\x01\x00\x00\x00\x3c\x00\x09"
                               "\x00\x01\x00\x05\x1f\x9a\x01"
                               "b\x00",
                               40));
}

void texts(Seeds& seeds) {
  for (const char* text :
       {"status =~ \"5..\" && host != \"a\" || retry > 3", "name exists", "/out/${host:-none}.$$",
        "250ms", "64KiB", "[::1]:8090", "00112233-4455-6677-8899-aabbccddeeff", "12.3",
        "limit=5&after=a%20b&dryRun=true", "http://localhost:8080"}) {
    seeds.put("text", text);
  }
  for (const char* text :
       {"--cluster-enabled --port=1\ncluster: {nodeId: a, seeds: [\"a:1\"], heartbeatTimeout: "
        "10s}\n",
        "--check-config\napi: {address: 127.0.0.1, port: 1}\nnode: {diskFreeMin: 5%}\n"
        "events: {retention: 10}\nlog: {level: info, format: json}\n"}) {
    seeds.put("config", text);
  }
  for (const char* text :
       {"GET /api/cluster/status\n\n", "GET /api/cluster/assignments?limit=1&state=running\n\n",
        "PUT /api/cluster/config/a\napplication/json\n{\"value\":[1]}",
        ("POST /api/cluster/processors\napplication/json\n"
         "{\"type\":\"external\",\"name\":\"a\",\"properties\":{},\"replication\":\"sync\"}"),
        "POST /api/cluster/rebalance?dryRun=true\napplication/json\n",
        "PUT /api/cluster/flows/a\napplication/yaml\nprocessors: []\n",
        "DELETE /api/cluster/nodes/node-1?force=true\n\n",
        "POST /api/cluster/tokens\napplication/json\n{\"role\":\"admin\",\"expiresInMs\":1000}",
        "DELETE /api/cluster/tokens/0123456789ab\n\n"}) {
    seeds.put("routes", text);
  }
  for (const char* text :
       {"{\"value\":{\"b\":[1,-2.50,1e2,true,null],\"a\":\"\\u00e9\\n\\ud83d\\ude00\"}}",
        " [ 18446744073709551615 , -0 , 0.1e-5 , \"\\u0000\\/\" , {} ] "}) {
    seeds.put("body", text);
  }
  for (const char* text :
       {"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
        "PUT /a HTTP/1.0\r\nContent-Length: 3\r\n\r\nabcGET http://a/ HTTP/1.1\r\n\r\n",
        "PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nX: "
        "y\r\n\r\n"}) {
    seeds.put("framing", text);
    seeds.put("http", text);
    seeds.put("http_request", text);
  }
  for (const char* text :
       {"{\"nodes\":[{\"id\":\"a\",\"load\":{\"cpuUsage\":1.5}}],\"next\":\"b\",\"version\":1}",
        "{\"moves\":[{\"processorId\":\"p\",\"from\":null}],\"events\":[{\"id\":\"1.0\"}]}"}) {
    seeds.put("render", text);
  }
  const std::string token = "dbt_" + std::string(12, 'a') + "_" + std::string(64, 'b');
  seeds.put("token", "Bearer " + token);
  seeds.put("hello", std::string("\x16\x03\x01\x00\x08\x01\x00\x00\x04xxxx", 13));
  seeds.put("token", token_line(Token{std::string(12, 'a'), "ci", TokenRole::operate,
                                      hash_of_token(token), 1'700'000'000'000, 0}));
  for (const char* path : {"examples/logs.yaml"}) {
    std::ifstream file(path);
    seeds.put("flow_yaml", std::string(std::istreambuf_iterator<char>(file), {}));
  }
  seeds.put("flow_yaml",
            "id: a\nprocessors:\n  - {name: g, type: GenerateFlowFile, properties: {size: 1KiB}}\n"
            "  - name: r\n    type: RouteOnAttribute\n    properties: {x: 'index > 3'}\n"
            "connections:\n  - {from: g, relationship: success, to: r, maxCount: 5}\n");
}

// The authority, a node and a client, each in a file.
void certificates(Seeds& seeds) {
  platform::CertificateOrder order;
  order.directory = std::filesystem::temp_directory_path() / "databridge-seed-certificates";
  order.name = "n1";
  order.replace = true;
  for (const auto& made : {platform::create_authority(order),
                           platform::create_certificate(platform::CertificateUse::node, order),
                           platform::create_certificate(platform::CertificateUse::client, order)}) {
    std::ifstream file(made.value().cert, std::ios::binary);
    seeds.put("certificate", Bytes(std::istreambuf_iterator<char>(file), {}));
  }
  std::filesystem::remove_all(order.directory);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: databridge-fuzz-seeds DIR\n", stderr);
    return 2;
  }
  Seeds seeds(argv[1]);
  nouns(seeds);
  states(seeds);
  records(seeds);
  deltas(seeds);
  sightings(seeds);
  texts(seeds);
  certificates(seeds);
}
