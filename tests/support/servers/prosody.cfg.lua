-- Prosody on loopback, nothing limited. The words with a dollar sign are filled in by prosody.py.
run_as_root = true
daemonize = false
pidfile = "$folder/prosody.pid"
data_path = "$folder/data"
certificates = "$folder"
plugin_paths = { "$folder/modules" }
log = { warn = "$folder/prosody.log" }
network_backend = "epoll"
network_settings = { tcp_backlog = 1000, read_timeout = 14400 }
interfaces = { "127.0.0.1" }
c2s_ports = { $port }
c2s_direct_tls_ports = { $tls_port }
http_ports = { $http_port }
https_ports = { $https_port }
https_interfaces = { "127.0.0.1" }
https_ssl = { key = "$key", certificate = "$certificate" }
http_interfaces = { "127.0.0.1" }
http_default_host = "localhost"
s2s_ports = {}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
consider_bosh_secure = true
consider_websocket_secure = true
c2s_timeout = 600
storage = "memory"
ssl = { key = "$key", certificate = "$certificate" }
modules_enabled = {
  "amoc_counter", "roster", "saslauth", "tls", "disco", "presence", "message", "iq", "c2s", "ping", "time", "version",
  "adhoc", "admin_adhoc", "blocklist", "bosh", "carbons", "csi_simple", "mam", "pep", "private", "smacks", "uptime", "vcard_legacy",
  "websocket",
}
admins = { "admin@localhost" }
smacks_hibernation_time = 30
default_archive_policy = false -- who wants an archive says so
modules_disabled = { "s2s", "limits" }
VirtualHost "localhost"
  authentication = "insecure"
  modules_disabled = { "s2s", "limits", "offline" } -- any user "exists" here: nothing would be refused
  insecure_open_authentication = "Yes please, I know what I'm doing!"
VirtualHost "scram.local"
  authentication = "internal_hashed"
  modules_enabled = { "register" }
  allow_registration = true
VirtualHost "sha256.local"
  authentication = "internal_hashed"
  password_hash = "SHA-256"
VirtualHost "anonymous.local"
  authentication = "anonymous"
Component "conference.localhost" "muc"
  modules_enabled = { "muc_mam" }
Component "pubsub.localhost" "pubsub"
  admins = { "user_1@localhost", "user_3@localhost", "user_5@localhost" } -- who may create nodes
Component "upload.localhost" "http_file_share"
  http_host = "localhost"
  http_external_url = "http://127.0.0.1:$http_port/"
  http_file_share_size_limit = 1000000
