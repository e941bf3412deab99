#!/bin/sh
# Makes up the secrets of a new installation. None is in the repository, and none is asked for twice.
#
#   deploy/secrets.sh compose                            files for docker-compose.yml, in .local/compose (or $SECRETS_DIR)
#   deploy/secrets.sh kubernetes | kubectl create -f -   Secrets for k8s/, in the namespace sales-pipeline (or $NAMESPACE);
#                                                        $DATABASE_OPTIONS (?sslmode=…) is added to the database's URLs
#
# Neither replaces what is there: with another SECRET_KEY every second factor would have to be set up anew, and servers know the
# passwords that they were made with. The first administrator is $ADMIN_EMAIL (admin@example.com), with $ADMIN_PASSWORD or one that is
# made up.
set -eu
umask 077
cd "$(dirname "$0")/.."

case ${ADMIN_EMAIL:-}${ADMIN_PASSWORD:-} in
*\'*)
    echo "ADMIN_EMAIL and ADMIN_PASSWORD may have no ' in them here." >&2
    exit 64
    ;;
esac
kind=${1:-}
case $kind in
compose)
    database=postgres
    folder=${SECRETS_DIR:-.local/compose}
    if [ -e "$folder" ]; then
        echo "There are secrets in $folder already." >&2
        exit 1
    fi
    mkdir -p "$folder"
    ;;
kubernetes) database="database-rw" ;;
*)
    echo "usage: $0 compose|kubernetes" >&2
    exit 64
    ;;
esac

# 32 hexadecimal digits after a letter, so that nobody takes it for a number.
word() {
    echo "s$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
}

# A secret of that name with these NAME=value pairs.
secret() {
    name=$1
    shift
    if [ "$kind" = compose ]; then
        for pair; do
            printf "%s='%s'\n" "${pair%%=*}" "${pair#*=}"
        done >"$folder/$name.env"
        return
    fi
    printf -- '---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n  namespace: %s\n' "$name" "${NAMESPACE:-sales-pipeline}"
    printf '  labels:\n    app.kubernetes.io/part-of: sales-pipeline\nstringData:\n'
    for pair; do
        printf '  %s: "%s"\n' "${pair%%=*}" "$(printf %s "${pair#*=}" | sed 's/[\\"]/\\&/g')"
    done
}

admin_email=${ADMIN_EMAIL:-admin@example.com}
admin_password=${ADMIN_PASSWORD:-$(word)}
nats=$(word)
nats_url="nats://salespipeline:$nats@nats:4222"
postgres=$(word)
gateway=$(word)

roles=
pairs="gateway=$gateway"
for service in identity opportunities analytics notifier; do
    upper=$(echo $service | tr '[:lower:]' '[:upper:]')
    password=$(word)
    owner=$(word)
    own=$(word)
    url="postgres://salespipeline_$service:$password@$database:5432/salespipeline${DATABASE_OPTIONS:-}"
    roles="$roles ${upper}_PASSWORD=$password ${upper}_OWNER_PASSWORD=$owner"
    pairs="$pairs,$service=$own"
    secret "$service-migrate" "MIGRATE_DATABASE_URL=postgres://salespipeline_${service}_owner:$owner@$database:5432/salespipeline${DATABASE_OPTIONS:-}"
    if [ $service != identity ]; then
        secret "$service" "DATABASE_URL=$url" "NATS_URL=$nats_url" "SERVICE_SECRET=$own"
    else
        identity_url=$url
    fi
done
secret identity "DATABASE_URL=$identity_url" "NATS_URL=$nats_url" "SECRET_KEY=$(word)$(word)" "SERVICE_SECRETS=$pairs" \
    "ADMIN_EMAIL=$admin_email" "ADMIN_PASSWORD=$admin_password"
secret gateway "NATS_URL=$nats_url" "SERVICE_SECRET=$gateway"
# shellcheck disable=SC2086 # pairs with blanks between them, and none in them
secret database-roles $roles
if [ "$kind" = compose ]; then
    secret nats "NATS_PASSWORD=$nats"
    secret postgres "POSTGRES_PASSWORD=$postgres"
    secret database-admin "PGPASSWORD=$postgres"
    secret demo "ADMIN_EMAIL=$admin_email" "ADMIN_PASSWORD=$admin_password" "DEMO_PASSWORD=$(word)"
    secret grafana "GF_SECURITY_ADMIN_PASSWORD=$(word)"
    echo "Secrets are in $folder. $admin_email signs in with the ADMIN_PASSWORD in $folder/identity.env."
else
    secret nats "NATS_PASSWORD=$nats" "ROUTES_PASSWORD=$(word)"
    secret database-admin username=salespipeline "password=$postgres"
fi
