// events [--follow] [--since N].
#include <cstdio>
#include <memory>

#include "ctl/commands.h"
#include "ctl/render.h"

namespace databridge::ctl {
namespace {

int list(const Context& context, std::string since) {
  for (;;) {
    const auto reply =
        context.http.send("GET", since.empty() ? "/api/cluster/events"
                                               : "/api/cluster/events?since=" + escape(since));
    if (const int code = context.show(reply, render_events); code != kDone) return code;
    since = next_of(reply->body);
    if (since.empty()) return kDone;
  }
}

// Runs for ever. When the node ends the stream, this connects again with the last id that it saw.
// So no event is missed, and none is shown twice.
int follow(const Context& context, const std::string& since) {
  std::string path = "/api/cluster/events";
  if (!since.empty()) path += "?since=" + escape(since);
  std::string last;
  bool begun = false;
  for (;;) {
    std::vector<std::string> headers = {"Accept: text/event-stream"};
    if (!last.empty()) headers.push_back("Last-Event-ID: " + last);
    std::string id;
    const auto ended = context.http.stream(path, headers, [&](std::string_view line) {
      begun = true;
      if (line.starts_with("id: ")) id = line.substr(4);
      if (line.starts_with("data: ")) {
        const std::string_view data = line.substr(6);
        std::printf("%s\n", context.json ? std::string(data).c_str() : render_event(data).c_str());
        std::fflush(stdout);
        last = id;
      }
      return std::ferror(stdout) == 0;
    });
    if (ended) return kDone;  // The reader of our output has gone.
    // It fails for a node that was never reached, and for one that cannot continue from here. It
    // waits for a node that restarts.
    if (!begun || ended.error().code != Code::unavailable) return context.failed(ended.error());
    wait_a_second();
  }
}

}  // namespace

void add_event_commands(CLI::App& app, Command& chosen) {
  auto* events = app.add_subcommand("events", "What happened, numbered");
  auto following = std::make_shared<bool>(false);
  auto since = std::make_shared<std::string>();
  events->add_flag("-f,--follow", *following, "Go on as they come");
  events->add_option("--since", *since, "After this number: 12.3, or 12 for after all of 12");
  events->callback([&chosen, following, since] {
    chosen = [following, since](const Context& context) {
      return *following ? follow(context, *since) : list(context, *since);
    };
  });
}

}  // namespace databridge::ctl
