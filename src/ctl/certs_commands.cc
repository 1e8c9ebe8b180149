// certs create-ca, create-node, create-client, list. They work on files and ask no node.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "ctl/commands.h"
#include "ctl/render.h"
#include "platform/certificate_authority.h"

namespace databridge::ctl {
namespace {

using platform::Certificate;
using platform::CertificateOrder;
using platform::CertificateUse;
using platform::Written;

const char* name_of(CertificateUse use) {
  switch (use) {
    case CertificateUse::authority:
      return "authority";
    case CertificateUse::node:
      return "node";
    case CertificateUse::client:
      return "client";
    case CertificateUse::server:
      break;
  }
  return "server";
}

nlohmann::json json_of(const Certificate& certificate, const std::string& file) {
  return {{"file", file},
          {"use", name_of(certificate.use)},
          {"name", certificate.name},
          {"hosts", certificate.hosts},
          {"ends", platform::date_text(certificate.ends)},
          {"daysLeft", platform::seconds_until(certificate.ends) / 86400},
          {"fingerprint", certificate.fingerprint}};
}

// What whoever has the key can do with it. The file itself says nothing about that.
const char* power_of(CertificateUse use) {
  switch (use) {
    case CertificateUse::authority:
      return "keep this key away from the nodes: it can make members of the cluster";
    case CertificateUse::node:
      return "this key grants membership in the cluster: only that node may have it";
    default:
      return "this key lets its holder connect to the API; it does not make it a node";
  }
}

int show(const Context& context, const Result<Written>& written) {
  if (!written) return context.failed(written.error());
  const Certificate& made = written->certificate;
  if (context.json) {
    fmt::print("{}\n", json_of(made, written->cert).dump());
    return kDone;
  }
  fmt::print("{} (until {})\n{} ({})\n", written->cert, platform::date_text(made.ends),
             written->key, power_of(made.use));
  return kDone;
}

int list(const Context& context, const std::string& directory) {
  const auto files = platform::certificate_files(directory);
  if (!files) return context.failed(files.error());
  auto all = nlohmann::json::array();
  int code = kDone;
  for (const std::string& file : *files) {
    const auto read = platform::read_certificates(file);
    if (!read) {
      code = context.failed(read.error());
      continue;
    }
    for (const Certificate& each : *read) all.push_back(json_of(each, file));
  }
  const std::string text = nlohmann::json{{"certificates", all}}.dump(
      -1, ' ', false, nlohmann::json::error_handler_t::replace);
  fmt::print("{}", context.json ? text + "\n" : render_certificates(text));
  return code;
}

void add_order(CLI::App* command, const std::shared_ptr<CertificateOrder>& order, int days) {
  command->add_option("--dir", order->directory, "The directory of the authority and of all files")
      ->default_str("certs");
  command->add_option("--days", order->days, "How long it is good")
      ->default_str(std::to_string(days))
      ->check(CLI::Range(1, platform::kAuthorityDays));
  command->add_flag("--replace", order->replace, "Write over files that exist");
}

}  // namespace

void add_certs_commands(CLI::App& app, Command& chosen) {
  auto* certs = app.add_subcommand("certs", "Certificates and keys, as files; no node is asked");
  certs->require_subcommand(1);

  auto authority = std::make_shared<CertificateOrder>();
  authority->days = platform::kAuthorityDays;
  auto* create_ca = certs->add_subcommand("create-ca", "The authority of a cluster");
  add_order(create_ca, authority, platform::kAuthorityDays);
  create_ca->callback([&chosen, authority] {
    chosen = [authority](const Context& context) {
      return show(context, platform::create_authority(*authority));
    };
  });

  auto order = std::make_shared<CertificateOrder>();
  auto* create_node = certs->add_subcommand("create-node", "The certificate of a node");
  create_node->add_option("NODE-ID", order->name)->required();
  create_node->add_option("HOST", order->hosts, "Names and addresses of its machine");
  add_order(create_node, order, platform::kCertificateDays);
  auto* create_client = certs->add_subcommand("create-client", "The certificate of an API client");
  create_client->add_option("NAME", order->name)->required();
  add_order(create_client, order, platform::kCertificateDays);
  for (auto* command : {create_node, create_client}) {
    const CertificateUse use =
        command == create_node ? CertificateUse::node : CertificateUse::client;
    command->callback([&chosen, order, use] {
      chosen = [order, use](const Context& context) {
        return show(context, platform::create_certificate(use, *order));
      };
    });
  }

  auto directory = std::make_shared<std::string>("certs");
  auto* list_all = certs->add_subcommand("list", "Names, ends and fingerprints");
  list_all->add_option("--dir", *directory, "The directory")->default_str("certs");
  list_all->callback([&chosen, directory] {
    chosen = [directory](const Context& context) { return list(context, *directory); };
  });
}

}  // namespace databridge::ctl
